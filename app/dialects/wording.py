"""What the words of a refusal say: patterns of many vendors' phrasings, general rather than exact.

They are asked last, where status and code leave several kinds open. Each is a guess; which one is asked when stands in
``trouble``. White space in the patterns is insignificant (``re.VERBOSE``).
"""

from __future__ import annotations

import re


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.VERBOSE)


KEY_TROUBLE = _words(
    r"""\b(?:invalid|incorrect|wrong|bad|expired|missing|malformed|unknown|no)\s(?:x-)?(?:api|access|auth
        |authentication)
        [\s_-]?(?:key|token|credentials?)\b
      | api[\s_-]?key\s(?:\S+\s)?(?:is\s|was\s)?(?:not\s(?:valid|found|recogni[sz]ed)|invalid|incorrect|expired
        |missing|revoked)
      | \binvalid\s(?:authentication|authorization|credentials|bearer)|\bunauthori[sz]ed\b
      | \bauthentication\s(?:failed|fails|failure|error|required)|\bno\sauth\scredentials|\bnot\sauthori[sz]ed\b
      | \bpass\sa\svalid\sapi\skey|\buser\slocation\sis\snot\ssupported|\bdid(?:\snot|n't)\sprovide\san\sapi\skey
      | \borgani[sz]ation\shas\sbeen\s(?:disabled|restricted)\b|^invalid\s(?:access\s)?token\W*$
      | \binvalid\s(?:format\sfor\s)?(?:the\s)?authorization\sheader
      |\b(?:missing|no|without)\s(?:a\s|an\s|the\s)?(?:bearer|authorization)\b|\bapi[\s_-]key\sheader\b
      | \bunable\sto\sauthenticate|\bnot\sauthenticated\b
      | \bkey\s(?:is|was|has\sbeen)\s(?:not\sactive|inactive|revoked|deactivated|disabled|blocked|suspended|expired
        |reported)"""
)
MODEL_TROUBLE = _words(
    r"""\b(?:invalid|unknown|no\ssuch|bad|unrecogni[sz]ed|unsupported|unavailable)\smodel\b(?!\sconfig)
      | \bmodels?\b.{0,120}?\b(?:does\snot\sexist|doesn't\sexist|not\sexist|(?:not|n't)\s(?:be\s)?found
        |not\sa\svalid\smodel
        |no\slonger\s(?:available|supported|offered)|end[\s-]of[\s-](?:its\s)?life
        |(?:been|was|is)\s(?:decommissioned|deprecated|retired|removed|shut\sdown|sunset|discontinued|disabled)
        |is\s(?:currently\s)?not\s(?:available|deployed|served)|not\s(?:currently\s)?available\sto)
      | \bmodel\s\S{1,80}\s(?:is\s)?not\srecogni[sz]ed
      | \bis\snot\sa\svalid\smodel|\bmodel\sidentifier\sis\sinvalid
      | \bmodel\s[`'"]?[\w./:@-]+[`'"]?\s(?:is\s)?not\ssupported\b|\bnot\ssupported\sby\sany\sprovider
      | \bsupported\s(?:api\s)?model\s(?:names|ids)\sare|\bunable\sto\saccess\s(?:[\w-]+\s)?model
      | \bis\snot\sa\schat\smodel|\bmust\sbe\sverified\sto\suse\sthe\smodel|\bno\sroute\sfor\sthat
      | \bno\sendpoints\sfound\sfor|\bno\savailable\schannel
      | \bmodel\s(?:is\s|has\sbeen\s)?disabled\b|\bmodel\sis\smarked\b.{0,20}\bas\slegacy
      | \b(?:not\sallowed|no\saccess|not\spermitted|(?:not|n't)\shave\saccess)\s(?:to|for|on)\s(?:access\s|use\s)?
        (?:this\s|the\s)?model\b
      | \bunexpected\smodel\sname|\bnot\sallowed\sto\suse\spublisher\smodel|模型不存在|无可用渠道"""
)
TOO_LONG = _words(
    r"""\bmax(?:imum)?\scontext\b|\bcontext[\s_](?:length|window|size|limit)s?\b.{0,60}(?:exceed|overflow|too)
      | \bexceed\w*\b.{0,80}\bcontext|\bcontext\s(?:shift|overflow)
      | \b(?:prompt|input|message|request|conversation|messages|inputs)\s(?:is\s|are\s|was\s
        |text\sis\s)?too\s(?:long|large)
      | \b(?:prompt|input|sequence)\b.{0,60}\b(?:longer|greater|larger)\sthan\b.{0,40}\b(?:max|context|limit|model)
      | \b(?:input|prompt|sequence)\s(?:length|token\scount|tokens)\b.{0,60}\b(?:exceed|range|larger|greater|should\sbe)
      | \bnumber\sof\stokens\b.{0,40}\b(?:larger|greater|more|exceed\w*)\b|\btoken\slimit\sexceeded
      | \btokens\b.{0,60}\bcontext\s(?:limit|size|length|window)\b|\bmore\stokens\sthan\b.{0,30}\b(?:model|context|max)
      | \bmodel\b.{0,40}\bat\smost\s\d+\s\(prompt\b
      | \btoo\smany\s(?:input\s|prompt\s)?tokens(?!:\smax\stokens)
      | \brequest\s(?:body\s)?too\slarge|\bpayload\ssize\sexceeds|\breduce\s(?:the
        |your)\s(?:length|prompt|input|message)
      | \b(?:max(?:imum)?|model)\s(?:prompt|input|sequence|model|token)\s(?:length|limit)\b
      | \bcontext\slength\sis\sonly\b|\bmax_(?:seq|model|input|prompt)_len|\btoken\slength\stoo\slong
      | \btokens\sin\sthe\s(?:prompt|input|messages?)\scannot\sexceed
      | \bstring\stoo\slong\.\sexpected|\b(?:prompt|input)\sexceeds\smax
      | \bmust\shave\sless\sthan\s\d+\stokens|`inputs`\s(?:tokens|must)|超长"""
)
TOO_LARGE_FOR_LIMIT = _words(r"\brequest\stoo\slarge\b|\binput\sor\soutput\stokens\smust\sbe\sreduced")
FILTERED = _words(
    r"""content\s(?:management\s)?(?:policy|filter)|\bmoderation\b|\bflagged\b|responsible\s?ai
        |\bsafety\s(?:system|filter|polic|reasons|check|concern|violation)|safety_check
      | \bguardrails?\s(?:intervened|triggered|blocked)|\bblocked\sby\b.{0,30}\b(?:guardrail|filter)
        |\b(?:prohibited|harmful)\scontent
      | \b(?:usage|acceptable\suse|content|safety)\s(?:polic|guideline)|\bblocked\s(?:input|output|prompt)\b
        |\bcontent\sexists\srisk|\bhigh\srisk\b|\binappropriate\scontent|sensitive\s(?:content|words
        |information)|\bunsafe\b
      | data_inspection|敏感"""
)
FLAGGED = _words(r"\bflagged\b|\bmoderation\b")
UNPAID = _words(
    r"""\binsufficient\s(?:account\s)?(?:balance|credits?|funds)|\bcredit\sbalance\sis\stoo\slow
        |\bpayment\s(?:required|method)
      | \bbilling\s(?:hard|not|is\snot|account|disabled|issue|to\sbe\senabled)|\benable\sbilling\b
      | \bout\sof\scredits|\b(?:no|any)\s(?:remaining\s)?credits\b(?!\s(?:were|was|have))
        |\bmore\scredits\b
      | \b(?:credits?|trial|subscription|coding\splan)\b.{0,20}\bexpired
      | \bpre-?pa(?:id|yment)\b.{0,20}\b(?:depleted|exhausted|used)|\bnegative\sbalance
      | \bbalance\s(?:is\s)?(?:insufficient|not\senough|too\slow)
      | \b(?:overdue|arrears|arrearage)\b|\brecharge\b|\btop[\s-]?up\b|\bspend(?:ing)?\slimit|欠费|余额不足|额度不足"""
)
SUSPENDED = _words(r"\baccount\b.{0,40}\b(?:suspended|not\sactive|good\sstanding)\b")
"""An account closed for money, as a rule; where the status is 401 the key is no good all the same."""
BUSY = _words(
    r"""overload|\b(?:over|at|maximum|exceeded)\scapacity|\bcapacity\b.{0,20}\bexceeded|\bhigh\s(?:traffic
        |demand|load)|\bno\scapacity
      | \btoo\sbusy
      | \b(?:model|server|system|service|engine|workers?|backends?)\s(?:is\s|are\s)?(?:currently\s|all\s)?busy
        |\b(?:is\s)?(?:currently|still)\sloading
      | \bnot\sready\syet|\btemporarily\sunavailable|\bunder\sheavy\sload|\bqueue\sis\sfull|访问量过大"""
)
TIMED_OUT = _words(r"\btimed?[\s-]?out\b|\bdeadline\sexceeded")
LIMITED = _words(
    r"""\brate[\s_-]?limit|\btoo\smany\srequests|\bthrottl|\bexceeded\syour\scurrent\squota
      | \blimited\sto\s\d+\sapi\scalls"""
)
USED_UP = _words(
    r"""\bquota\b.{0,30}\b(?:exceed|exhaust|reach|used|consumed)|\b(?:exceed|exhaust|reach|used)\w*\b.{0,60}\b(?:quota
        |allocation|usage\s(?:limit|cap))
      | \b(?:usage\s(?:limit|cap)|free\s(?:tier|allocation|quota))\b.{0,40}\b(?:exceed|exhaust|reach|used)
      | \b(?:key|budget|spending|account|credit|team|plan)\s(?:limit|cap|budget)?\s?(?:has\sbeen\s)?(?:exceeded|reached)
      | \breached\s(?:its|your|the)\s(?:\w+\s)?(?:budget|spending|usage|credit)\b
      | \bcredits?\b.{0,30}\b(?:used|exhausted|depleted|consumed)|\bused\sall\savailable\scredits|\bout\sof\scredits"""
)
PREPAID = _words(r"\bpre-?pa(?:id|yment)\b.{0,20}\b(?:depleted|exhausted|used)")
"""What was paid for in advance comes back by no reset: somebody has to pay."""
CHECK_QUOTA = _words(r"resource\shas\sbeen\sexhausted\s\(e\.g\.")
NO_QUOTA_AT_ALL = _words(r"\blimit:\s?0\b")
LONG_WINDOW = _words(
    r"""(?:per|/|by|each|a)[\s_-]*(?:1\s)?(?:day|week|month)|\bdaily\b|\bweekly\b|\bmonthly\b|(?<![a-z])[rt]pd(?![a-z])
        |\b24[\s-]?h|per\s86400
      | \b(?:today|tomorrow)\b|今日"""
)
SHORT_WINDOW = _words(
    r"""(?:per|/|by)[\s_-]*(?:\d+\s)?(?:min(?:ute)?|sec(?:ond)?|hour|hr)(?![a-z])|(?:per|by)(?:minute|second|hour)
        |(?<![a-z])[rt]p[ms](?![a-z])
      | \bq[ps][sm]\b|per\s60s?\b|\bconcurren|\bhourly\b|requests/s\b"""
)
OTHER_FEATURE = _words(r"\b(?:doesn't|does\snot|do\snot|don't)\ssu+p+ort|\bthat\ssupport\b")
BROKEN_OUTPUT = _words(
    r"\bfailed\sto\s(?:generate\s(?:valid\s)?json|call\sa\sfunction)|\btool\scall\svalidation\sfailed"
)
INTERNAL = _words(r"\binternal\s(?:server\s)?error|\bunexpected\serror|\bserver\shad\san\serror")
