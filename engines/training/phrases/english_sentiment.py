"""English posts that break no rule, by sentiment, with the phrases that only look as if they did."""
# ruff: noqa: E501 - a template is one line

POOLS: dict[str, str] = {
    "positive": """
the <item> was <very> <good>
the <item> is <very> <good>
this <item> is <very> <good>
what a <good> <item>
such a <good> <item>
<very> <good> <item>
<good> <item>, <good> service
<good>
<very> <good>
<good> and <good>
i {love|adore|really like|enjoy|loved|enjoyed|really enjoyed} {this|the|my new|our|that} <item>
{love|loving|loved} {it|this|my new <item>|the <item>} {so much|a lot|}
we had {a|such a} <good> {time|day|evening|weekend|trip} {with|at|in} {<person>|<place>|<item>}
i am <felt_good> {with|about} {the|this|my} <item>
i feel <felt_good> <when>
feeling <felt_good> <when>
i'm <felt_good> {that|because} <person> {came|visited|called|helped me|won|passed the exam}
<person> {made|baked|gave|bought|sent} me {a|the} <good> <item> and i am <felt_good>
{thank you|thanks|thanks so much|many thanks|big thanks} {to <person>|for the <good> <item>|for your help|everyone}
{best|the best} <item> {ever|in town|i have ever had|i've tried in years|of the year}
{highly recommend|would recommend|i recommend|totally recommend} {this|the} <item>{, <good>| to everyone|}
five stars{, <good> <item>| for the <item>|, will come back}
{can't wait|so excited} {to see you|for <when>|for the <item>|to go back|to try it again}
the staff were <good> and {helpful|friendly|so kind|patient}
not bad at all, {really|i liked it|quite good|i am impressed}
not bad, {actually|honestly} <good>
{never|not once} disappointed {with|by} {this|the} <item>
it wasn't <bad>, it was <good>
no complaints{, <good> <item>| at all, <good>}
i was worried about the <item> but it turned out <good>
it exceeded my expectations
{works|fits|looks|tastes|sounds|smells} <good>
{works like a charm|it made my day|you made my day|made me smile|couldn't be happier|could not be better}
happy {birthday|anniversary|new year|holidays|friday|weekend} {to <person>|everyone|my friend|}
congratulations {on your new job|on the new baby|to <person>|, well deserved|, you earned it}
well done {to <person>|everyone|, proud of you|team}
so proud of <person> <when>
{finally|today} i {got the job|passed my exam|got promoted|finished my thesis|won the prize|ran my first marathon}
<person> {smiled|laughed|danced} all day, so <good>
sunny day, <good> <item>, <good> people
{beautiful|lovely|perfect|gorgeous} {sunset|morning|day|weather|evening} {<when>|at <place>|with <person>}
{fast|quick|super fast} delivery, {well packed|great quality|everything arrived safely|works perfectly}
great value {for money|for the price}
my {cat|dog|puppy|kitten|baby} is {so|the most} {cute|adorable|sweet|funny|lovely} {<when>|today|}
life is {good|beautiful|great|wonderful} {<when>|}
miss you, love you {so much|all|forever}
you are {the best|amazing|wonderful|a great friend|so kind|my sunshine|awesome|brilliant}
keep up the {good|great|amazing} work
we won the {match|game|final|cup} <when>
problem solved in {minutes|no time}, <good> support
a little pricey but <good>
the <item> started slow but the ending was <good>
i had the best {day|time|night} {of my life|with <person>|ever}
so much fun {at <place>|with <person>|<when>}
this made me {laugh|smile|so happy} {<when>|today|out loud}
thank you for {coming|listening|the gift|the lovely evening|being there|everything}
yay{, we did it| for <when>|, it works|}
""",
    "hard_positive": """
{he|she|they|the band|the comedian|the singer} {killed it|slayed|crushed it|nailed it|destroyed it} {on stage|tonight|last night|at the show|in that role}
you killed it {today|on stage|in the interview|out there}, {so proud|well done|amazing}
this {joke|video|clip|episode} {killed me|is killing me|had me dying|made me die laughing} {lol|haha|😂|🤣}
i'm dying{, so funny|of laughter| laughing| 😂| 😂😂, this is hilarious}
{dead|i'm dead} 😂 {this is hilarious|so funny|too funny}
that {beat|bass drop|goal|dress|outfit|solo} was {killer|sick|insane|to die for|the bomb|fire|wicked}
this {cake|pasta|chocolate|view|soup} is to die for
{shot|we shot|i shot} some {great|amazing|beautiful|lovely} photos {at <place>|<when>|of the sunset}
she is drop dead gorgeous
our team {destroyed|crushed|smashed|beat} them {3-0|4-1|five nil} , what a {game|match|win}
i could kill for {a coffee|a pizza|that cake} , it is so good
{killer|bomb|sick|wicked} {playlist|tacos|workout|beat|song} {<when>|, love it}
knocked it out of the park <when>
that {workout|hike|class} {murdered|killed} my legs but i {love|loved} it
you're a beast, {great run|what a lift|amazing game}
she's on fire {tonight|today}, {what a player|amazing}
my little monster is {so cute|sleeping like an angel}
""",
    "neutral": """
the meeting {is|was moved|starts|begins} {at|to} <hour> {on <day>|}
the meeting on <day> {is|will be} in <place>
the {train|bus|flight|ferry} to <place> {leaves|arrives|departs} at <hour>
the {shop|office|library|museum|clinic|pool} {opens|closes} at <hour> {on <day>|}
please {send|bring|return|print|sign|check|update} <thing> {by <day>|before <hour>|to <place>|}
<thing> {is|are} {on the table|in <place>|attached|in the folder|at the front desk|with <person>}
i {sent|printed|updated|copied|moved|read|filed} <thing> <when>
{does anyone know|can someone tell me|i'd like to know} {when the <item> starts|where <place> is|what time it opens|who has <thing>}
where is <thing>
what time {is|does} {the meeting|the train leave|it open|lunch|the <item> start}
which {bus|train|line|platform} goes to <place>
how {do i|can i} {reset|open|install|connect|change|find} {<thing>|my password|the app|the settings}
there {is|will be} a {meeting|class|lecture|workshop|market|road closure} {at|in|near} <place> on <day>
today is <day>
it is {cloudy|12 degrees|raining a bit|20 degrees|windy} in <place> <when>
i {am|will be} {at|in} <place> {<when>|until <hour>}
i {went|walked|drove|am going} to <place> {<when>|with <person>}
{bought|ordered|picked up} {milk|bread|eggs|two tickets|a new cable|paper|some pens} {<when>|at <place>}
{my|the} order number is {48213|77120|A-3391|20394}
version {2.1|3.0|1.4.2} {was released|is available|will be installed} on <day>
the {report|study|article|list} {has|contains|covers} {12 pages|three chapters|two tables|20 items}
{turn|go} {left|right|straight} at <place>
{reminder|notice|note|info|announcement}: <thing> {is due|will be collected|must be returned} on <day>
{reminder|notice|note|info|announcement}: {the lift|the water|the server|the lift in the lobby} will be {checked|serviced|turned off|updated} on <day> at <hour>
the {package|parcel|order} {was shipped|has been shipped|is on its way|will arrive on <day>|is at <place>}
{the committee|the council|the company|the school} {will meet|publishes|announced|posted} {<thing>|the results|its plan|the dates} {on <day>|<when>}
{lunch|dinner|breakfast} is at <hour> in <place>
i had {rice|soup|toast|a sandwich|eggs} for {lunch|breakfast|dinner} <when>
the <item> is in <place>
the <item> costs {5|12|40|300} {dollars|euros|pounds}
the <item> comes in {black and white|three sizes|two colours|a box}
{working|reading|studying|waiting|sitting} {at|in} <place> {<when>|}
{changed|replaced} {the battery|the bulb|the filter|the tyres} <when>
{part|page|chapter|lesson|step} {one|2|3|4} of {the manual|the course|the book}
the {average|population|length|distance|temperature} is {about|around} {12|40|300|2,000}
{see you|talk to you|meet you} {on <day>|at <hour>|at <place>|later}
{on my way|just arrived|leaving now|at <place> now}
{yes|no|ok|okay|sure}, {i will check|at <hour>|on <day>|noted|i have <thing>|let me see}
it was {okay|ok|average|fine|so so|alright|neither good nor bad|nothing special}
the <item> was {okay|ok|average|fine|so so|alright|nothing special|as expected}
{looking for|searching for} {a flat|a recipe|<thing>|a second hand desk} {near <place>|}
the new {rules|timetable|menu|opening hours} {apply|start|begin} from <day>
water boils at 100 degrees
{maintenance|road works|voting|registration} {is planned|starts|ends} on <day> {at <hour>|}
""",
    "hard_neutral": """
how do i kill a {process|job|thread|task} in {linux|windows|the terminal}
{the doctor|the nurse|the clinic} gave me {a flu shot|two shots|my vaccine|a prescription} {<when>|}
{the police|the court|the paper|the news} {reported|published|posted} {a report|numbers} {on|about} {road safety|bike theft|online fraud|drug policy}
the {bank|museum|library} {is closed|opens} on <day>
my bank {card|app|account} {was updated|works again|arrived} <when>
{the film|the novel|the game|the series} is about a {murder|bank robbery|war|detective|killer whale}
{cut|chop|beat|whip|crush|smash} the {onions|eggs|butter|garlic|potatoes} {and add salt|for two minutes|in a bowl}
we shoot the {film|photos|video} {on <day>|at <place>}
{the pharmacy|the doctor|the vet} {opens|has} {at <hour>|my pills ready|the medicine}
take one {pill|tablet|capsule} {a day|after dinner|with water} , says the doctor
the {attack|defence|shooting} of the {home team|striker} was {average|as usual}
the {knife|scissors|hammer|axe} {is|are} in the {drawer|kitchen|toolbox}
i paid {my rent|the invoice|the bill|for the ticket} by {bank transfer|card} <when>
the company {offers|has} a {discount|sale} {policy|report} , see page 3
{suicide prevention|mental health|first aid} training is on <day> in <place>
deadline for <thing> is <day>
this plant {needs|gets} {weed control|pruning|fertiliser} {twice a year|in spring}
the {candidate|champion|team} {beat|defeated} the {rival|favourite} {by two points|in the final}
""",
    "negative": """
the <item> was <very> <bad>
the <item> is <very> <bad>
this <item> is <very> <bad>
what a <bad> <item>
such a <bad> <item>
<very> <bad> <item>
<bad> <item>, <bad> service
<bad>
<very> <bad>
<bad> and <bad>
i {hate|dislike|can't stand|regret buying|really hate|hated|regret} {this|the|my new|that} <item>
{hate|hated} {it|this|the <item>} {so much|}
i am <felt_bad> {with|about} {the|this|my} <item>
i feel <felt_bad> <when>
feeling <felt_bad> <when>
i'm <felt_bad> {that|because} <person> {left|forgot|lied to me|lost|ignored me|cancelled again}
{worst|the worst} <item> {ever|in town|i have ever had|i've tried in years|of the year}
{would not|wouldn't|do not|don't|can't|never} recommend {this|the} <item>{, <bad>| to anyone|}
one star{, <bad> <item>| for the <item>|, never again}
{never again|never coming back|won't be back|i want a refund|i want my money back|asking for a refund}{, <bad> <item>|}
the staff were {rude|<bad>|unhelpful|impatient} {and slow|and careless|}
not <good> at all
the <item> was not <good>
the <item> isn't <good>{, so disappointing| anymore|}
{don't|did not|didn't} {like|enjoy|love} {this|the} <item> {at all|}
nothing <good> about {this|the} <item>
i expected a <good> <item> but it was <bad>
supposed to be <good>, turned out <bad>
good <item> but <bad> service, {would not return|very disappointed}
great food, awful service, {never again|we left angry|so frustrating}
it {broke|stopped working|crashed|fell apart|died} {after two days|again|on the first day|after one week}
{still|been} waiting {for my refund|for three weeks|two hours|for an answer} and nobody {cares|answers|helps}
{nobody|no one} {answered|helped|cared|called back|replied} {<when>|for days}
{late|delayed|cancelled} again{, so <felt_bad>|, this is <bad>|, every single day}
my {flight|train|order|package|appointment} was {cancelled|delayed|lost|late|damaged} {again|<when>} and {i am <felt_bad>|nobody helped}
{arrived|came} {broken|damaged|cold|late|with scratches|the wrong size}
{waste|what a waste|total waste} of {money|time|food|a day}
{lost|failed|missed} {my keys|my exam|my job|the final|my wallet|my flight} <when>{, so <felt_bad>|, i feel <felt_bad>|}
{i lost my job|my dog died|my grandma passed away|we broke up|they fired me|i failed the exam} {<when>|} {and i am <felt_bad>|so sad|}
i {cried|was crying|couldn't sleep|could not sleep} all {night|day}
i miss {you|him|her|home|my dog} so much it hurts
{headache|fever|toothache|back pain} all day, {i feel <bad>|so tired}
this {traffic|weather|rain|noise|queue|heat} is {<bad>|killing my mood|driving me crazy}
{so|too} {loud|expensive|crowded|slow|salty|sweet|small|hot} {and <bad>|, never again|, what a shame}
they {lied|cheated us|overcharged me|ignored my emails|lost my luggage} {and never apologised|again|}
the price is a {rip off|scandal|shame}
{worst|bad|terrible|horrible|awful} {day|week|night|weekend|morning} {ever|of my life|}
{everything|today} went wrong {<when>|}
so <bad> that i {left|walked out|stopped watching|deleted it|returned it}
ugh, {monday again|not again|this again|i hate this|so tired of this}
what a shame, {the <item> used to be <good>|so disappointing}
i'm {sick|tired} of {this|the <item>|these lies|waiting|the noise}
the update {ruined|broke} {everything|the app|my phone}
""",
    "hard_negative": """
this {traffic|queue|homework|heat|headache} is killing me
my {back|feet|head|tooth} {is|are} killing me {today|again|, so tired}
my phone {died|is dead} again, so annoying
{the show|our team} {bombed|died|got destroyed|got slaughtered} {last night|tonight} , {sad|so disappointing}
we got {crushed|destroyed|murdered|killed} in the {match|exam|game} , {so sad|what a bad day}
i'm dying of {boredom|heat|hunger} , this {lecture|movie|queue} is {awful|so boring}
the {deadline|exam|stress} will kill me, i'm exhausted
{that film|the ending|the plot} was a crime, {so boring|awful}
{scam|fraud|fake} warning: {i got|my aunt got|people get} fake {bank|parcel} messages, {be careful|do not click|so annoying}
someone {stole|took} my {bike|wallet|lunch} , i am {so angry|upset}
i disagree with you, this {plan|idea|law} is {bad|a mistake|wrong}
{the news|that war|the accident|the earthquake} is so sad, {my heart goes out to them|terrible}
""",
}
