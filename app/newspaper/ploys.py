"""What texts say to instruct a newsroom, or a model at work in one: ``print this headline``. Pure.

Beside the tricks of ``app.core.tricks``, which every text of the yard is read for; these are looked for in articles
only. An order is one by its form: it stands where a sentence begins, or behind ``please`` or ``must``; the same words
in a report (``the paper ran this story on its front page``) are none.
"""

from __future__ import annotations

import re

from app.core.injection import skeleton, suspicions

_ORDER = (
    r"(?:^|[.!?:;,\n\"'“”‘’(\[*>-]\s*|\b(?:please|kindly|must|should|shall|always|now|then|and|just|only|simply"
    r"|have to|need to|asked to|told to)\s+)"
)
_IT = (
    r"(?:story|article|headline|piece|item|text|news|report|title|lead|line|sentence|statement|message|post|entry|page)"
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
    r"(?:print|run|publish|lead with|use|feature|display|put|place|post|set|promote|pin|reprint|reproduce|insert|quote)"
)
_MUST = (
    r"(?:must|should|shall|need(?:s)? to|ha(?:s|ve) to|(?:are|is) (?:to|required|instructed|ordered|told|asked|obliged)"
    r"|please|will now)"
)
_SAY = (
    r"(?:say|state|print|report|write|include|mention|describe|rank|rate|treat|present|repeat|output|summari[sz]e|omit"
    r"|ignore|respond|reply|answer|begin|start|end|conclude|add|append|put|place|lead|use|call|praise|recommend"
    r"|classify"
    r"|label|mark|skip|not)"
)

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
        r"(?:now |being )?(?:an? )?(?:ai|llm|gpt|chatgpt|(?:large )?language model|chatbot|bot|automated \w+|assistant"
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
        rf"{_ORDER}(?:do not|don'?t|never) (?:mention|reveal|repeat|discuss|acknowledge|quote|print) (?:these|this|the"
        r"|any|such|those)(?: \w+)?? (?:instructions?|prompts?|messages?|orders?|directions?)\b",
        # whoever is told who he is now; by a possessive too: "the bakery's press office"
        r"(?:^|[.!?:;,\n\"“‘(\[*>-]\s*|\bthat )you are now (?:an? |the |my |our |in )(?:[\w'’-]+ ){0,4}?"
        r"(?:office|officer|editor|agent|assistant|spokes\w+|writer|reporter|journalist|model|bot|chatbot|mode|system|critic|author)\b",
        r"\byour (?:new |real |only |actual |true )(?:task|job|instructions?|goal|role|orders?) (?:is|are)\b",
        r"\b(?:stop|quit) (?:summari[sz]ing|classifying|processing|following) (?:and|the|this|your)\b",
        r"\b(?:skip|pass|approve) (?:the |all |any )?(?:fact.?check\w*|checks?|verification)\b[^.\n]{0,30}\b(?:this"
        r"|of this)\b",
        r"\bmark (?:every|all|each)(?: \w+){0,3} (?:sentences?|claims?|statements?) (?:as )?(?:supported|true"
        r"|correct|verified)\b",
        # the same in other languages of Europe
        r"\b(?:druck(?:e|t|en sie)|veröffentliche|veröffentlichen sie|bring(?:e|t|en sie)) (?:diese|folgende"
        r"|die folgende)"
        r"[nrs]? (?:schlagzeile|überschrift|meldung|zeile|text)",
        r"\b(?:imprim(?:e|ez|a|an)|publi(?:e|ez|que|quen|ca)|stampa(?:te)?|pubblica(?:te)?) (?:ce|cette|este|esta"
        r"|questo|questa) "
        r"(?:titre|manchette|texte|titular|título|titolo|testo)",
    )
)  # fmt: skip


def ploys(text: str) -> tuple[str, ...]:
    """Names of what a text tries on its reader, in a fixed order; none for ordinary text."""
    found = suspicions(text)
    if found == ("look_alikes",) and _mostly_not_latin(text):
        found = ()
    seen = text.lower() if text.isascii() else skeleton(text)
    if any(ploy.search(seen) for ploy in _PLOYS):
        found = (*found, "directs_the_newsroom")
    return found


def _mostly_not_latin(text: str) -> bool:
    """In Russian or Greek a word that borrows Latin letters (``SMS-ки``) is none in disguise."""
    letters = [c for c in text if c.isalpha()]
    return 2 * sum(c.isascii() for c in letters) < len(letters)
