"""The tricks of texts that try to instruct their reader, as data: what to look for, in lower-case skeletons.

A trick's patterns are tried only where the text holds a word of each of its lists: most texts hold none, and a pattern
costs a hundred times what that look costs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ORDERS = r"(?:(?:instruction|prompt|rule|guideline|direction|message|command|task|system|context)s?)"
_OTHERS = (
    r"(?:(?:all|every|each|any)(?: of)?(?: the)?(?: other| following| remaining| next| previous| these| those)?"
    r"|(?:the |these |those )?(?:other|others|rest|remaining|following|next|previous)(?: of the)?)"
)
_THINGS = (
    r"(?:items?|others?|texts?|messages?|questions?|entr(?:y|ies)|rows?|lines?|queries|inputs?|ids?|ones?|of them)"
)
_READER = (
    r"(?:judge|grader|evaluator|verifier|reviewer|assistant|ai|llm|(?:language )?model|classifier|annotator|chatbot)"
)
_REPLY = r"(?:respond|reply|answer|output|return|print|write|say)"
_LABEL = r"(?:label|classify|mark|answer|tag|categori[sz]e|assign|set|give|rate)"
_PARTS = (
    r"(?:item|candidate|answer|system|user|assistant|instruction|prompt|label|verdict|document|data|text|think|s)s?"
)


@dataclass(frozen=True, slots=True)
class Trick:
    name: str
    words: tuple[tuple[str, ...], ...]
    pattern: re.Pattern[str]

    def found_in(self, skeleton: str) -> bool:
        for words in self.words:
            for word in words:  # a plain loop: this is looked at for every vote
                if word in skeleton:
                    break
            else:
                return False
        return self.pattern.search(skeleton) is not None


def _trick(name: str, *patterns: str, words: tuple[str, ...]) -> Trick:
    """``words``: one line a list, its words between ``|``."""
    return Trick(name, tuple(tuple(line.split("|")) for line in words), re.compile("|".join(patterns)))


TRICKS = (
    _trick(
        "override",
        r"\b(?:ignore|disregard|forget|overrid\w*|bypass)\b[^.\n]{0,40}\b(?:previous|above|prior|earlier|preceding|other"
        r"|your|all|any|everything|the (?:system|task)|these|those|its)\b[^.\n]{0,30}\b(?:everything|before|above|said"
        rf"|others?|labels?|candidates?|answers?|items?|{_ORDERS})\b",
        r"\bdisregard (?:all|everything|the above)\b|\bforget everything\b",
        r"\bignore (?:the )?(?:above|others|everything)\b",
        r"\bnew (?:system )?instructions?\s*:|\b(?:ignorier\w*|vergiss) [^.\n]{0,30}anweisung",
        r"\bignora [^.\n]{0,30}instruc|\b(?:ignore[zr]?|oublie[zr]?) [^.\n]{0,30}instructions",
        words=(
            "ignor|disregard|forget|overrid|bypass|new |vergiss|oublie",
            "instruc|prompt|rule|guideline|direction|message|command|task|system|context|everything|before|above|other"
            "|label|candidate|answer|item|said|disregard all|anweisung",
        ),
    ),
    _trick(
        "addresses_other_items",
        rf"\b{_LABEL} {_OTHERS} {_THINGS}\b",
        r"\b(?:label|classify|mark|answer|tag|categori[sz]e) (?:all|everything|everyone|every) [^.\n]{0,30}\bas\b",
        rf"\b(?:labels?|answers?|category) (?:of|for|to) {_OTHERS} {_THINGS}\b",
        words=(
            "label|classif|mark|answer|tag |categor|assign|set |give|rate ",
            "other|all |every|each |any |rest |following|remaining|next|previous|these|those",
        ),
    ),
    _trick(
        "addresses_its_reader",
        r"\b(?:dear|attention|hey|hello|note to|message to|instructions? (?:to|for)|as)[, ]+"
        rf"(?:the |an? |our )?{_READER}\b\s*[,:;!.-]",
        rf"\byou are (?:now |a |an |the |only ){{1,2}}(?:\w+ ){{0,2}}{_READER}\b|\bas an (?:ai|llm|language model)\b",
        words=(
            "judge|grader|evaluator|verifier|reviewer|assistant| ai|llm|model|classifier|annotator|chatbot",
            "dear|attention|hey|hello|note to|message to|instruction|as a|as the|as our|you are",
        ),
    ),
    _trick(
        "dictates_the_answer",
        rf"(?:^|[.!?:;,\n]\s*|\b(?:and|then|please|must|should|always|now)\s+){_REPLY}\s+"
        r"(?:only|exactly|just|simply|always|nothing but)?\s*(?:with|the label|the word|label|category|\"|')",
        r"\b(?:the|its|your) (?:only )?(?:correct|right|true|proper|expected|final|gold) "
        r"(?:label|category|verdict|classification|candidate)\b(?: \w+){0,4} (?:is|must be|should be)\b",
        r"^\s*(?:label|category|verdict|classification)\s*[:=]",
        words=(
            "respond|reply|answer|output|return|print|write|say|label|category|verdict|classification|candidate",
            "with|label|the word|category|verdict|classification|candidate|\"|'",
        ),
    ),
    _trick(
        "praises_itself",
        r"\bi am (?:clearly |obviously |by far )?the (?:best|winner|winning|correct|right)\b",
        r"\b(?:choose|pick|select|prefer|vote for|accept) "
        r"(?:me\b|this (?:answer|candidate|response|one|item)\b|candidate\b|my answer)",
        r"\b(?:this|my|the (?:above|present|following)) (?:answer|candidate|response|reply|text) (?:is|was) "
        r"(?:clearly |obviously |by far |definitely )?"
        r"(?:the )?(?:best|winner|superior|perfect|only correct|right one)\b",
        r"\bcandidate (?:\d+|[a-d]|[0-9a-f]{8}) (?:is|was|wins|should|must)\b",
        r"\b(?:best|winning) (?:candidate|answer|choice) (?:is|=|:)\s*"
        r"(?:this|me|mine|candidate|number|[0-9a-f]{8}|seat)\b",
        r"\ball (?:the )?other (?:candidates?|answers?|responses?) (?:are|is)\b",
        r"\b(?:score|rating|grade)\s*[:=]?\s*10(?:\s*/\s*10|\s+out of 10)",
        words=(
            "i am|candidate|choose|pick |select|prefer|vote for|accept |this |my |the |winning|other|score"
            "|rating|grade",
            "i am the|i am clearly|i am obv|i am by far|candidate|choose|pick |select|prefer|vote for|accept |best|winn"
            "|superior|perfect|right one|only correct|other answer|other response|10",
        ),
    ),
    _trick(
        "imitates_delimiters",
        rf"</?\s*{_PARTS}(?:[\s_-][^<>\n]{{0,40}})?/?>|<\|[^|\n]{{1,30}}\|>|\[/?inst\]",
        r"(?:^|\n)\s*candidate [\w-]{1,12}(?: \([^)\n]*\))?\s*:|(?:^|\n)\s*(?:system|assistant|user|human)\s*:",
        r"(?:^|\n)\s*#{2,}\s*(?:instruction|system|candidate|end of|new task)|```\s*(?:system|instruction)",
        r"(?:^|\n)\s*[-=]{2,}\s*(?:end|begin|start|new|system)\b|\bend of (?:the )?(?:item|candidate|prompt|data)s?\b",
        words=("<|inst]|candidate|system|assistant|user|human|##|```|--|==|end of ",),
    ),
    _trick(
        "imitates_a_verdict",
        r"(?:^|\n)\W*(?:verdict\s*[:=]\s*)?accept(?:ed)?\b(?:[ :]+[0-9a-f]{8})?\W*(?:\n|$)|\bverdict\s*[:=]\s*\w",
        r"[\"']?(?:choice|winner|best|verdict|selected)[\"']?\s*:\s*[\"']|\b(?:final )?choice\s*[:=]\s*\w",
        r"\[\[\s*\w{1,12}\s*\]\]|\breply with exactly\b|\bseat:\d",
        words=("accept|verdict|choice|winner|best|selected|[[|reply with exactly|seat:",),
    ),
)
"""In the order in which they are named."""

HOLLOW = re.compile(
    r"\W*(?:thought process|solution|answer|final answer|reasoning|explanation|let'?s (?:solve|think)[^.\n]{0,60}"
    r"|step 1|here(?:'s| is) (?:the|my) (?:answer|solution|response)|sure|okay|ok|certainly|of course"
    r"|the answer is)?\W*"
)
"""Punctuation, or a thought's opening without the thought: judges have been seen to accept either for an answer."""
