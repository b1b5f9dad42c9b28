"""What texts say to instruct a newsroom, or a model at work in one: ``print this headline``. Pure.

Beside the tricks of ``app.core.tricks``, which every text of the yard is read for; these are looked for in articles
only. An order is one by its form: it stands where a sentence begins, or behind ``please`` or ``must``; the same words
in a report (``the paper ran this story on its front page``) are none.
"""

from __future__ import annotations

import base64
import re
import unicodedata

from app.core.injection import skeleton, suspicions

_ORDER = (
    r"(?:^|[.!?:;,\n\"'“”‘’(\[*>#-]\s*|\b(?:please|kindly|must|should|shall|always|now|then|and|just|only|simply"
    r"|have to|need to|asked to|told to)\s+)"
)
_IT = (
    r"(?:story|article|headline|piece|item|text|news|report|title|lead|line|sentence|statement|message|post"
    r"|entry|page)"
)
_THIS = (
    rf"(?:(?:this|these|the following|the above|the text (?:below|above)|my|our)(?: \w+){{0,2}}? {_IT}s?\b"
    r"|this(?= (?:as|on|at|in|first|instead|verbatim|now)\b|\s*[:.!,;]|\s*$))"
)
_MODEL = (
    r"(?:\b(?:ai|a\.i\.|llms?|gpt|chatgpt|claude|gemini|copilot|chatbots?|(?:large )?language models?|bots?|crawlers?"
    r"|(?:ai |automated |machine |virtual )(?:systems?|models?|assistants?|agents?|readers?|tools?|editors?|writers?"
    r"|journalists?|summari[sz]ers?|reporters?)|summari[sz]ers?|summari[sz]ation (?:systems?|models?|tools?)"
    r"|assistants?|robots?)\b)"
)
_NEWSROOM = (
    r"(?:(?:dear |attention[,:]? |hey |note (?:to|for) (?:the |all )?|hello )?(?:the )?(?:editors?|sub-?editors?"
    r"|copy ?editors?"
    r"|editor-in-chief|news ?room|news ?desk|newspaper|copy ?desk|press room))"
)
_PRINT = (
    r"(?:print|run|publish|lead with|use|feature|display|put|place|post|set|promote|pin|reprint|reproduce"
    r"|insert|quote)"
)
_MUST = (
    r"(?:must|should|shall|need(?:s)? to|ha(?:s|ve) to|(?:are|is) (?:to|required|instructed|ordered|told|asked"
    r"|obliged)"
    r"|please|will now)"
)
_SAY = (
    r"(?:say|state|print|report|write|include|mention|describe|rank|rate|treat|present|repeat|output"
    r"|summari[sz]e|omit"
    r"|ignore|respond|reply|answer|begin|start|end|conclude|add|append|put|place|lead|use|call|praise|recommend"
    r"|classify"
    r"|label|mark|skip|not)"
)

_BEGINS = r"(?:^|[.!?:;\n\"“‘(\[*>#-]\s*)"
_TITLE = r"(?:headlines?|titles?|titlings?|front pages?)"

_PLOYS = tuple(
    re.compile(pattern)
    for pattern in (
        # print this headline: …
        rf"{_ORDER}{_PRINT} (?:only |exactly |just )?(?:this|these|the following|my|our)(?: \w+){{0,2}}? "
        rf"(?:headlines?|titles?|leads?|sentences?|statements?|lines?|words?|messages?)\b",
        rf"{_ORDER}(?:print|publish|run|reprint|reproduce) {_THIS}(?: \w+){{0,3}}?"
        r"(?: (?:as|on|at|in) (?:is\b|the |your |its |a )| (?:verbatim|unchanged|word for word|in full|first"
        r"|exactly)\b|\s*:)",
        rf"{_ORDER}(?:print|publish|write|output|display|say|reprint|reproduce)(?: \w+){{0,2}}? (?:the following"
        rf"|exactly)"
        r"(?: \w+){0,3}?\s*(?::|$)",
        # run it as the lead
        rf"{_ORDER}(?:print|run|publish|use|feature|put|place|set|make|move|promote|pin|treat|rank|rate|mark"
        rf"|classify|sort"
        rf"|label|score|file) (?:{_THIS}|it\b|this\b(?= the| your))(?: \w+){{0,3}}? ?(?:as (?:the |a |your "
        rf"|today'?s )?(?:\w+[ -]){{0,2}}?"
        r"(?:lead|top|headline|front|main|first|urgent|major|breaking|most important|important|highest)"
        r"|on (?:the |your )?(?:front|first|title|cover|home)|at the (?:top|head)|(?:the |your )(?:lead|top|front"
        r"|headline)(?: \w+)?(?: (?:story|article|page|item|piece|news)\b|\s*(?:$|[.!:,;]))"
        r"|first\b|highest|above (?:all|every))",
        rf"{_ORDER}lead (?:with|the (?:paper|edition|page|front page) with) {_THIS}",
        r"\b(?:headline|lead|front page|title|summary)s? (?:must|should|shall|has to|needs to) (?:read|say|state"
        r"|be)\s*[:\"'“‘]",
        # editors: …
        rf"(?:^|[.!?;\n(\[]\s*){_NEWSROOM}\s*[:,!-]+\s*(?:please |kindly |you must |do not |don't |always )?"
        rf"(?:{_PRINT}|{_SAY}|make|ensure|disregard|forget|drop|replace|change|delete|remove)\b",
        # AI systems that summarise this article must …
        rf"{_MODEL}[^.\n]{{0,80}}\b(?:read|summar|process|analy|pars|ingest|index|rewrit|translat|edit|classif|sort"
        rf"|print"
        rf"|writ|report|quot|cit)\w*[^.\n]{{0,20}}\b(?:this|these|the (?:following|above)|it)\b[^.\n]{{0,60}}?"
        rf"(?:\b{_MUST}\b(?: \w+){{0,2}}? {_SAY}\b|:\s*{_SAY}\b)",
        rf"{_MODEL}[^.\n]{{0,20}}\b{_MUST} (?:always |only |now |also |first )?{_SAY}\b[^.\n]{{0,40}}"
        r"\b(?:this|the (?:following|above)) (?:\w+ ){0,2}?"
        r"(?:story|article|headline|text|sentence|statement|page|item|piece|summary)\b",
        rf"{_MODEL}\s*[:,]\s*(?:(?:when|if|while|as|once) you\b|(?:please|kindly|you must|do not|don't|never"
        rf"|always)\b)",
        rf"\b{_THIS} (?:must|should|shall|has to|needs to) (?:be )?(?:run|printed|published|placed|ranked|rated|put"
        rf"|treated"
        r"|label+ed|classified|marked|sorted|the|lead|appear) (?:\w+ ){0,2}?(?:as|on|at|first|highest|lead|top"
        r"|unchanged"
        r"|verbatim)\b",
        rf"{_ORDER}(?:classify|label|categori[sz]e|tag|sort|file|rate|rank|mark|score) {_THIS}(?: \w+){{0,2}}? "
        r"(?:as|under|at|with|first|highest)\b",
        r"\bif (?:you(?:'re|’re| are)|the reader is|this is (?:being )?(?:read|processed|summari[sz]ed) by|read by) "
        r"(?:now |being )?(?:an? )?(?:ai|llm|gpt|chatgpt|(?:large )?language model|chatbot|bot|automated \w+"
        r"|assistant"
        r"|summari[sz]er|machine)(?: (?:model|assistant|system|agent|tool|reader))?"
        r"(?:\s*[,:.;-]|\s+(?:read|summar|process|writ|edit|that|which|and you)\w*)",
        # words for the page, and against whoever watches
        r"\b(?:include|insert|add|repeat|quote|append|output|print|write) (?:the )?(?:following|this"
        r"|these)(?: \w+){0,3}? "
        r"(?:verbatim|word for word|unchanged|in your (?:answer|summary|article|response|output|report|text))",
        r"\b(?:in|into|of|to) your (?:summary|answer|response|output|verdict|article)\b[^.\n]{0,40}"
        r"\b(?:include|mention|state|say|write|add)\b",
        rf"{_ORDER}(?:do not|don'?t|never) (?:tell|inform|alert|warn|mention (?:this|it) to) (?:the |any |your )?"
        r"(?:users?|editors?|humans?|operators?|developers?|anyone)\b",
        r"\b(?:reveal|show|print|repeat|output|disclose|leak) (?:me )?(?:your|the) (?:\w+ )?"
        r"(?:system prompt|hidden prompt|initial prompt|instructions|api keys?)\b",
        rf"{_ORDER}(?:do not|don'?t|never) (?:mention|reveal|repeat|discuss|acknowledge|quote|print) (?:these"
        rf"|this|the"
        r"|any|such|those)(?: \w+)?? (?:instructions?|prompts?|messages?|orders?|directions?)\b",
        # whoever is told who he is now; by a possessive too: "the bakery's press office"
        r"(?:^|[.!?:;,\n\"“‘(\[*>-]\s*|\bthat )you are now (?:an? |the |my |our |in )(?:[\w'’-]+ ){0,4}?"
        r"(?:office|officer|editor|agent|assistant|spokes\w+|writer|reporter|journalist|model|bot|chatbot|mode"
        r"|system|critic|author)\b",
        r"\byour (?:new |real |only |actual |true )(?:task|job|instructions?|goal|role|orders?) (?:is|are)\b",
        r"\b(?:stop|quit) (?:summari[sz]ing|classifying|processing|following) (?:and|the|this|your)\b",
        r"\b(?:skip|pass|approve) (?:the |all |any )?(?:fact.?check\w*|checks?|verification)\b[^.\n]{0,30}\b(?:this"
        r"|of this)\b",
        r"\bmark (?:every|all|each)(?: \w+){0,3} (?:sentences?|claims?|statements?) (?:as )?(?:supported|true"
        r"|correct|verified)\b",
        # what is to stand there
        rf"{_ORDER}(?:use|set|make|take|choose|put|print|run)\b[^.\n]{{1,100}}?\bas (?:the|your|its) (?:lead "
        rf"|main |top )?{_TITLE}",
        rf"{_ORDER}(?:set|change|rewrite|replace|make) (?:the|your|its) {_TITLE}(?: of this \w+)? (?:to|with"
        rf"|read|say|into)\b",
        rf"{_ORDER}(?:title|headline|head) (?:this|the|your) (?:article|story|piece|item|summary)\b",
        rf"\b(?:please|kindly|(?:could|can|would|will) you(?: please)?) (?:use|print|run|publish|set|make)"
        rf" (?:this|the|my|our|a)"
        rf"(?: \w+)? ?{_TITLE}\b",
        rf"\b(?:the|its|your) (?:only |one )?(?:correct|right|proper|real|true|best|new|next) {_TITLE}(?: (?:of"
        rf"|for) (?:this|the)"
        r"(?: \w+)?)? (?:is|reads?|says?|must|should|shall|will be)\b",
        rf"\b(?:the|your) {_TITLE} (?:of|for) this (?:\w+ )?(?:story|article|piece|item|text|page) (?:must|should"
        r"|shall|(?:is|reads?)\s*[:\"'“])",
        rf"\byour (?:{_TITLE}|summary|verdict) (?:is|must|should|shall|has to|will|reads?)\b",
        rf"{_BEGINS}(?:new |your |the )?headline\s*[:=]",
        rf"{_BEGINS}(?:write|state) that (?:the|an?|it|he|she|they|there|all|no|every|we|this)\b",
        rf"{_BEGINS}(?:do not|don'?t|never) write (?:about|anything|of|that)\b",
        r"\b(?:when|while|if|in) (?:you )?(?:summari[sz]|rewrit|re-writ|writ|report|check|verify)\w*(?:"
        r" [\w ]{0,40})?,"
        r" ?(?:always |you (?:must|should) )?(?:say|state|report|mention|claim|answer)\b",
        r"\b(?:anyone|anybody|whoever|everyone|everybody|those)(?: who| that)? (?:\w+ )?(?:summari[sz]|rewrit"
        r"|edit|process|pars)\w*"
        r" (?:this|the (?:above|following))\b[^.\n]{0,40}\b(?:must|has to|have to|should|shall|is to|are to)\b",
        r"\bas the (?:writer|editor|author|journalist|reporter|checker|summari[sz]er) of this \w+,? you (?:must"
        r"|should|have to|will)\b",
        r"\byou (?:must|should|shall|have to|need to|will) (?:now |only )?(?:headline|title|lead) (?:this|it"
        r"|with)\b",
        rf"{_ORDER}ignore the (?:rest|others?|remaining)(?: of)?(?: the| this)? ?(?:article|text|story|sources?"
        rf"|sentences?|page|items?)\b",
        rf"{_BEGINS}(?:repeat after me|(?:output|print|answer|reply)(?: with)? only)\b",
        rf"{_BEGINS}(?:the |your )?(?:new|real|actual) task\s*:|\bfrom now on,? you (?:are an?|must|act)\b",
        # what would be the answer of a model at work here
        r"[\"'“”](?:headline|verdicts|sentences|cites"
        r"|supported)[\"'“”]\s*:\s*(?:[\[{\"'“”]|true|false)|\bsupported\s*[:=]\s*(?:true|yes)\b",
        r"\b(?:this|all|every|each)(?: of the| the)? (?:sentence|statement|claim)s?(?: below| above| here)?"
        r" (?:is|are) (?:fully |already )?"
        r"supported\b",
        rf"{_BEGINS}importance\s*[:=]\s*(?:front|major)|{_ORDER}cite (?:only )?this sentence\b|\b(?:every|each"
        rf"|all) claims? cites?\b",
        # the same in other languages of Europe
        r"\b(?:druck(?:e|t|en sie)|veröffentliche|veröffentlichen sie|bring(?:e|t|en sie)) (?:diese|folgende"
        r"|die folgende)"
        r"[nrs]? (?:schlagzeile|überschrift|meldung|zeile|text)",
        r"\b(?:imprim(?:e|ez|a|an)|publi(?:e|ez|que|quen|ca)|stampa(?:te)?|pubblica(?:te)?) (?:ce|cette|este|esta"
        r"|questo|questa) "
        r"(?:titre|manchette|texte|titular|título|titolo|testo)",
        r"\b(?:verwende[nt]?|nimm|nehmt|setze?|nutze?|schreibe?)\b[^.\n]{0,60}\bals (?:deine |eure |ihre"
        r" )?(?:über|schlag|titel)\w*",
        r"(?:^|[.!?\n]\s*)schreib(?:e|t|en sie),? dass\b",
        r"\b(?:utilise[zr]?|mets|mettez)\b[^.\n]{0,60}\bcomme (?:titre|manchette)"
        r"|\b(?:usa|use|utiliza|pon|ponga)\b[^.\n]{0,60}\bcomo (?:titular|título|manchete)"
        r"|\b(?:usa|usate|metti|mettete)\b[^.\n]{0,60}\bcome titolo",
        r"\bignora(?:te)? [^.\n]{0,30}istruzioni|\bignor(?:e|a|em) [^.\n]{0,30}instruç(?:ões|ão)"
        r"|\bnegeer [^.\n]{0,30}(?:instructies|opdrachten|aanwijzingen)|\b(?:z?ignoruj|pomiń)\w*"
        r" [^.\n]{0,30}(?:instrukcj|polece)"
        r"|\bignoruj\w* [^.\n]{0,30}(?:pokyny|instrukce)|\bignorer?a? [^.\n]{0,30}(?:instru[kx]|anvisning)"
        r"|\btalimatlar\w*[^.\n]{0,30}(?:yok say|görmezden|unut)",
        r"\b(?:druk|gebruik|plaats|publiceer) (?:deze|de volgende) (?:kop|titel)"
        r"|\b(?:wydrukuj|opublikuj|użyj)\w* (?:ten|tego|następując\w+) (?:nagłów|tytuł)"
        r"|\b(?:imprima|publique|use) (?:este|esta|o seguinte|a seguinte) (?:título|manchete|titular)",
    )
)  # fmt: skip

# In their own letters: a skeleton makes Latin ones of many.
_ELSEWHERE = re.compile(
    r"(?:игнорир|забуд|забыт|не обращай)\w*\s[^.\n]{0,40}(?:инструкц|указани|команд|правил)"
    r"|ігнору\w*\s[^.\n]{0,40}(?:інструкц|вказів)"
    r"|(?:напечатай|распечатай|опубликуй|надрукуй|опублікуй)\w*\s+(?:этот|следующ\w+|цей|наступн\w+)\s+заголов"
    r"|(?:忽略|无视|無視|忘记|忘記)[^。\n]{0,14}(?:指令|指示|提示|说明|說明|命令|要求)"
    r"|(?:打印|印刷|刊登|发布|發布|使用|采用)[^。\n]{0,6}(?:标题|標題|头条|頭條)"
    r"|(?:指示|命令|指令|プロンプト)[^。\n]{0,14}(?:無視|忘れ)|(?:この|次の|以下の)見出し[^。\n]{0,8}(?:印刷|掲載|使|出力)"
    r"|(?:지시|명령|지침)[^.\n]{0,14}무시|(?:이|다음) (?:제목|헤드라인)[^.\n]{0,8}(?:인쇄|게재|사용|출력)"
    r"|تجاهل[^.\n]{0,30}(?:التعليمات|الأوامر|تعليمات)|(?:اطبع|انشر|استخدم) هذا العنوان"
    r"|(?:התעלם|התעלמו) [^.\n]{0,30}(?:הוראות|ההוראות)|(?:अनदेखा|नज़रअंदाज़)[^।\n]{0,20}(?:निर्देश)"
    r"|निर्देश[^।\n]{0,30}(?:अनदेखा|नज़रअंदाज़)"
    r"|(?:αγνόησε|αγνοήστε) [^.\n]{0,30}(?:οδηγίες|εντολές)"
)
_SPELLED_OUT = re.compile(r"(?:\b[^\W\d_][ .*_-]{1,3}){9,}[^\W\d_]\b")
"""Letters one by one. Words so written are read by models, and by nobody else."""
_FIGURED = re.compile(r"(?<=[a-z])[01345@$]+(?=[a-z])")
_FIGURES = str.maketrans("01345@$", "oieasas")
_ENCODED = re.compile(r"[A-Za-z0-9+/]{24,4000}={0,2}")


def ploys(text: str) -> tuple[str, ...]:
    """Names of what a text tries on its reader, in a fixed order; none for ordinary text."""
    # "The trial's verdict: guilty" is news; what a judge would take for a verdict has no judge to read it here.
    found = tuple(each for each in suspicions(text) if each != "imitates_a_verdict")
    if found == ("look_alikes",) and _mostly_not_latin(text):
        found = ()
    seen = text.lower() if text.isascii() else skeleton(text)
    forms = {seen, _FIGURED.sub(lambda letters: letters[0].translate(_FIGURES), seen)}
    if any(ploy.search(form) for ploy in _PLOYS for form in forms) or (
        not text.isascii() and _ELSEWHERE.search(unicodedata.normalize("NFKC", text).lower())
    ):
        found = (*found, "directs_the_newsroom")
    if _SPELLED_OUT.search(seen) or any(_says(each) for each in _ENCODED.findall(text)):
        found = (*found, "writes_in_code")
    return found


def _says(encoded: str) -> bool:
    """Is it words in base64?"""
    try:
        said = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode("ascii")
    except ValueError:
        return False
    return said.isprintable() and said.count(" ") >= 2


def _mostly_not_latin(text: str) -> bool:
    """In Russian or Greek a word that borrows Latin letters (``SMS-ки``) is none in disguise."""
    letters = [c for c in text if c.isalpha()]
    return 2 * sum(c.isascii() for c in letters) < len(letters)
