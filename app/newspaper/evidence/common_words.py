"""English words that begin sentences with a capital and are no names; anaphors; forms of address."""

from __future__ import annotations

import re


def listed(words: str) -> frozenset[str]:
    """The words of a list that is written as one text."""
    return frozenset(words.split())


ANAPHORS = listed(
    "he she it they him her them his hers its their theirs himself herself itself themselves we us our ours ourselves"
    " i me my mine this these"
    " er sie es ihn ihm ihnen ihr ihre ihrer ihren sein seine seiner dieser diese dieses wir uns unser unsere"
    " il elle ils elles lui leur leurs son sa ses nous notre nos él ella ellos ellas su sus"
)
DEFINITE = re.compile(
    r"\b(?:the|this|that|our|their|der|die|das|dieser?|le|la|l')\s*(?:new\s+|federal\s+|national\s+|company's\s+)?(?:agency|"
    r"agencies|department|company|firm|group|team|program|programme|project|office|bureau|organi[sz]ation|site|website|"
    r"service|services|center|centre|administration|commission|committee|ministry|government|president|minister|"
    r"director|spokes\w+|author|researcher|scientist|court|bank|city|country|state|university|app|tool|platform|"
    r"event|summit|conference|report|study|act|law|bill|policy|plan|initiative|association|council|union|club|party|"
    r"behörde|firma|unternehmen|ministerium|regierung|stadt|partei|verein|agence|entreprise|gouvernement)\b",
    re.I,
)
ADDRESS = listed("mr mrs ms miss dr prof sir dame herr frau m mme mlle monsieur madame señor señora sig")
"""Before a name; need not stand in the source."""

SPEECH = (
    r"(?:said|says|say|told|tells|asked|asks|wrote|writes|added|adds|replied|replies|explained|explains|noted|notes"
    r"|argued|argues|announced|stated|states|claimed|claims|warned|warns|insisted|admitted|denied|declared|recalled"
    r"|remarked|commented|observed|concluded|suggested|quipped|according to"
    r"|tweeted|posted|joked|testified|boasted|sagte|sagt|erklärte|erklärt|meinte|betonte|teilte|schrieb|laut|dit|déclare"
    r"|affirme|explique|dijo|afirmó)"
)
NAMING = r"(?:calls|called|describes|described|put it|puts it|nannte|nennt)"
"""Behind a speaker, before what is quoted."""

_ENDINGS = re.compile(
    r"(?:ing|ings|ly|tion|tions|sion|sions|ment|ments|ness|ity|ities|ance|ances|ence|ences|ency|ancy|ism|isms|ists?|able"
    r"|ible|ous|ful|less|ive|ives|ship|ships|ware|wide|ical|ized|ised|ated|ates?|ify|ified|ological|ologies|ology|ers)$"
)
_COMMON = listed("""
a about above access according account accounts across act action activists activity actually adding additional adults
advance advice advocates after afterwards again against age agencies agency agents ago agreement ahead aid aim air all
allow allows almost alone along already also although always am amid among an analysis analysts and angry animals
another answer any anyone anything apart app apps are area areas armed around article articles artists as ask asked at
attacks attempts audience audiences aunt author authorities authors average award awards away baby back bad bank banks
based basic be because become before began begin behind being below beneath benefits beside besides best better between
beyond big black blood blog blue board boats bodies body book books both boys brain branch bring brown budget build
building buildings built bus buses business businesses but buy by call called calls campaign campaigns can cancer cannot
car care cars case cases cash cause cell center central century ceo certain challenge challenges change changes
channel charities cheap check chief child children choose church cities citizen citizens city civil claims class classes
clean clear click clients climate close club coal coach coast code coffee cold college colleges come comes coming
comments committee common communities community companies company compared complete computer computers conditions
consider consumers contact content contest contests continue copies corn costs could council counties countries country
county couples course court courts create created credit crews crime critics crops crowds current currently customer
customers cut cuts cyber daily dams data date dates day days deadline deaths debt deep delays demand department depend
design designers despite details developers did digital director directors discover do doctors documents does dog dogs
done doors double down downtown dozens draft drivers drop drug drugs due during each earlier early earth east easy
editor editors education effects efforts eight either elections electric elsewhere email emails employees employers end
energy engineers enough enter entire errors especially even evening event events eventually every everybody everyone
everything evidence example examples except executives exit experience experts extra eyes face facts fall families
family fans far farmers fast father federal fees feedback few fewer field fifth fifty fight figures files film final
finally find fire fires firm firms first fish five flights flood floods flu focus folks follow followers following food
for foreign forest forests former forms forty forward found four fourth free fresh friday friends from front fuel full
fun funding funds further future gas general get getting girls given gives giving glass global go goals going gold good
got government governments governor graduates grants great green ground group groups growing growth guests guide
guidelines guns
had half hard has have having he head health heat heavy held help helped helping hence her here high higher highly
hikers him his historic history holders home homes hospital hospitals hot hotel hotels hour hours house houses how
however huge human hundreds husband ice idea ideas if images imagine in include included includes income indeed
industry inflation information inside insiders instead interest internal international internet into investors is issue
issues it items its job jobs join journalists judge judges judges just keep key kids know known labor land language
large larger largest last late lately later latest law lawmakers laws lawyers leader leaders leading learn learned least
leave left legal less lessons let letters level levels library lies life like likewise lines links list listen lists
live lives local locals long look looking losses lots low lower lunch machine machines made mail main major majority
make makers makes making male man managers many map maps march mark market markets mass material materials maybe mayor
mean means measures meanwhile media medical meet meetings member members men message messages methods metrics might
migrants military milk millions mind miners minister ministers mobile model models modern money month months more
moreover morning most mostly mother motorists mountain move moves much music must my national native natural near
nearby nearly need needs neither net network networks never nevertheless new news next night nine no nobody none nor
normal north not note notes nothing now number numbers nurses obviously of off offer offered offers office officer
officers offices official officials often oil old older on once one ones online only onto open opponents opposition
options or order orders ordinary organizers organizations other others otherwise our out outside over overall own
owners page pages pain paper papers parents park parks part participants parties partly partner partners parts party
passengers past patients pay people per percent perhaps period person phone photo photos pick pilot place places plan
planes planners plans plants platform platforms play players please plus point points police policies policy poll polls
poor popular population post posts power powers practices prepare president press pretty previous previously price
prices prior prison prisoners private prizes problem problems process product products profit profits program programs
progress project projects proper prosecutors protesters protests provide provided public publishers pull pupils push put
quality queen question questions quick quickly quite race rail rain raise rather rates reach read readers reading ready
real really reason reasons rebels recent recently records red reform refugees regular related remember remote repeat
report reporters reports republicans request rescuers research researcher researchers residents resources rest results
return reviewers right rights rise rising risk river road roads role room rule rules run running safe salaries sales
same save say scale school schools science scientists search season second seconds section security see seek senior
separately series service services set seven several shares she ships shoppers short should show showed shows side
sign signs similar simple simply since single site sites six sixty small smart snow so social society software soldiers
some somebody someone something sometimes soon source sources south space speak speaker speakers special spending
spokesman spokeswoman sports spring staff stage standard standards start started starts state statements states
statistics stay steel step steps still stock stocks stop stores stories storm storms story street strict strong student
students studies study subject success such suddenly summer sun supply support supporters sure survey surveys survivors
system systems take takes taking talks tax taxes taxpayers teacher teachers team teams tech technology teens tell ten
tenants tens term terms test tests text than thank thanks that the their them then there thereafter therefore these they
thieves thing things think third thirty this those though thousands thread threats three through throughout thus ticket
tickets tickets time times tip tips to today together told tomorrow tonight too tool tools top topics total totals touch
tour tourists toward towards town towns trade tradition traffic train trains training travel travelers treatment trees
trend trends trial tribes troops trucks true trust try turn turning tv twelve twenty twice two type types under unions
unit units
universities university unless unlike until up update updates upon us use used useful user users using usually
value various version very via victims video videos view village villagers violence visit visitors voice volunteers vote
voters votes wages wait walk want war warm was wash watch water waters way ways we weather web webinar website websites
week weekly weeks well were west what whatever when whenever where whereas whether which while white who whoever whole
whose why wide wife wild will wind winners winter wireless with within without witnesses wolves woman women wood word
words work worked workers working works workshop world would write writers writing wrong year years yes yesterday yet
you young your youth zero
""")


def is_common(word: str) -> bool:
    """Is an English word, in lower case, likely no name? By a list, and by the endings of abstract words."""
    return word in _COMMON or (len(word) > 5 and _ENDINGS.search(word) is not None)
