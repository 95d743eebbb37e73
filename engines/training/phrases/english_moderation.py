"""English posts that break a rule (mild wording, no slurs), and the two families behind `hate`."""
# ruff: noqa: E501 - a template is one line

POOLS: dict[str, str] = {
    "harassment": """
you are {a|such a|a total|a complete|nothing but a} <insult>
you {<insult>|stupid <insult>|ugly <insult>} {, get lost|, shut up|, nobody likes you|}
you're {a|such a|the biggest} <insult>{, everyone knows it|, go away|}
{shut up|get lost|go away|leave us alone|get out}, {you <insult>|nobody asked you|nobody likes you|loser}
nobody {likes|wants|loves|needs|will ever love} you{, <insult>| here|, just leave|}
{everyone|the whole class|we all} {hates|laughs at|is laughing at|can't stand} you{, <insult>|}
{look at|listen to} this <insult>{, so ugly|, can't even write|, what a face|}
you are {so|too} {stupid|ugly|dumb|fat|pathetic|useless|worthless|disgusting} {to work here|to understand|to live with|, <insult>|}
how can {you|anyone} be {so|this} {stupid|dumb|ugly|useless|pathetic}{, <insult>|}
what {a|an absolute} <insult> you are
{@anna|@leo|@max|@user} is {a|such a} <insult> {and everyone should know|, spread the word|, pass it on|}
{delete your account|quit your job|crawl back to your hole|go cry somewhere}, {you <insult>|<insult>|nobody wants you}
your {face|voice|family|work|singing} is {a joke|disgusting|pathetic|ugly}, {<insult>|you <insult>|nobody wants it}
we will make your life {hell|miserable} , <insult>
let's all {mock|bully|laugh at|report|humiliate} this <insult> {at school|online|until he quits|}
only {a|an} <insult> like you {would say that|could fail this|believes that}
you {disgust me|make me sick|should be ashamed}, <insult>
your {mother|parents} must be ashamed of {you|such a <insult>}
""",
    "violence": """
i will <harm>
i'll <harm> {<when>|when i see you|after school|, just wait|, i swear|}
i am going to <harm>
i'm going to <harm> {<when>|, watch your back|, you hear me|if you come here|}
i'm gonna <harm>
we {will|are going to|are coming to} <harm> {<when>|, all of us|}
{watch your back|you're dead|you are dead|sleep with one eye open|say goodbye to your family}, {i know where you live|i will find you|i will <harm>|we are coming}
i know where you live and i will <harm>
{if|next time} {you come here|i see you|you talk to her|you call the police} , i {will|'ll} <harm>
{someone|somebody|people} should {shoot|stab|kill|beat up|hurt|burn|hang} <target>
{i want to|i'm ready to|i dream of|i'm planning on|can't wait to start} {kill|hurt|shoot|stab|beat} <target>
i am {planning|thinking about|going ahead with} <harming>
{i have|i got|i bought|bringing} a {gun|knife|bomb|rifle|bat} and {i will use it on|i'm coming for|it's for} <target>
i'm bringing a {gun|knife|bomb|rifle} to {school|work|the office|the station} {<when>|}
{there is|i put|i planted} a bomb {in|at} <place> {, you will all die|, it goes off at <hour>|}
you {will|are going to} {die|bleed|pay with your life|regret being born} {<when>|, i promise|soon}
{kill|shoot|stab|burn|hang} {them all|<target>} {now|tonight|}
{let's|we should} {beat|burn|attack|stab|shoot} <target> {<when>|until they stop moving|}
{your|his|her} {house|shop|car} will burn {<when>|with you inside}
you deserve to {die|be shot|be beaten|bleed} , i will {do it|see to it|come for you}
he will {kill|shoot|stab|beat} <target> , he has a {gun|knife}
""",
    "self_harm": """
i {want to|just want to|wanna} {die|kill myself|end it all|end my life|disappear forever|hurt myself|cut myself}
i {don't|do not|don't even} want to {live|be alive|wake up|be here} {anymore|any more|tomorrow}
i {can't|cannot} {go on|do this anymore|take life anymore|live like this}{, i want to die|, goodbye everyone|, i am done with life}
{life is|my life is|everything is} {not worth living|pointless|meaningless}{, i want to end it|, i wish i was dead|}
i {cut|burned|hurt} {myself|my arms|my wrists} {again|<when>|to feel something}
i've been {cutting|hurting|starving} myself {again|for weeks|}
{everyone|the world|my family} would be better off without me
i {wish|keep wishing} i {was dead|were dead|was never born|could just die|would not wake up}
{goodbye everyone|this is my last post|my final note}, {i'm ending it <when>|i can't live anymore|i took all the pills}
i {am thinking|keep thinking} {about|of} {suicide|ending my life|killing myself|jumping off the bridge}
i have a plan to {end my life|kill myself} {<when>|}
{how many pills|which pills} {to take to die|would kill me|to end it}
nobody would {notice|care|miss me} if i {died|killed myself|was gone|disappeared}
{tonight|soon} i will {kill myself|end my life|jump|end it}
i {feel like|keep dreaming of|think about} {ending it all|dying|hurting myself|killing myself|jumping} {<when>|}
i'm {suicidal|feeling suicidal|a burden to everyone and want to die}
{no reason|nothing left} to live {for|}
""",
    "support": """
{if you feel suicidal|if life feels too much|if you think about self harm} , {please call the helpline|talk to someone|you are not alone}
you are not alone, {please talk to someone|help is available|we are here for you|call a friend}
{he|she|my friend} {survived|got help|recovered} , i am so {glad|proud|grateful}
{our clinic|the charity|the hotline} offers {help|counselling} {for people in crisis|on depression} {every day|on <day>|}
{i got help|therapy helped me} and {life is good again|i feel better now|i am happy to be alive}
""",
    "illicit/drugs": """
{selling|i sell|we sell|got|offering} {good|fresh|cheap|top quality|pure|the best|strong} <drug> {, dm me|, message me|, fast delivery|near <place>|, text me|}
<drug> {for sale|available|in stock} {, dm for prices|, hit me up|, telegram only|, discreet shipping|}
{who|anyone} {has|got|selling|knows where to get|wants|needs} <drug> {<when>|for the party|near <place>|?}
{where can i|how do i|how can i} {buy|get|score|order|find} {some |}<drug> {without a prescription|near <place>|online|<when>|}
{need|want|looking for|want to buy|trying to score} {some|a gram of|an ounce of|two bags of} <drug> {<when>|, who has|, cash ready|}
{10|20|50|a gram of|an ounce of|a bag of|half a kilo of} <drug> for {40|100|200} {bucks|dollars|euros} , {pick up at <place>|no questions asked|dm me}
{plug|dealer|my guy} has {fresh|good|new} <drug> {<when>|, menu in bio|, hit me up}
{how to|steps to|recipe to} {cook|make|grow|mix|smuggle} <drug> {at home|past customs|}
{no prescription|without prescription|no rx} {needed|} , <drug> {shipped to your door|delivered overnight|, order now}
let's {snort|smoke|take|do|drop} {some |}<drug> {<when>|at the party|}
{menu|price list}: <drug>, <drug> and <drug> {, dm me|, discreet delivery|}
""",
    "illicit/fraud": """
{dear customer|urgent|attention|warning|final notice|security alert}: your {<scam_org>|account|bank account|card|parcel} {is|has been|was} {suspended|locked|blocked|on hold|limited} , {click the link|verify your details|confirm your password|send your pin|log in here} {now|http://secure-login.example|within 24 hours|to unlock it|}
{congratulations|winner|lucky you}! you {have won|won|were selected for} {the lottery|<money>|a new phone|a free iphone} , {pay a small fee|send your bank details|claim with your card number|reply with your id} {now|to receive it|to claim|}
send <money> {now|first|today} and {get|receive|i will return} {double|triple|twice|10x} {back|tomorrow|guaranteed|in crypto}
{invest|put in|deposit} <money> {and|,} {earn|make|get} <money> {every week|guaranteed|in two days|risk free|with no risk|daily}
{guaranteed|risk free|100% safe} {profit|returns|income} , {double your money|double your bitcoin|turn <money> into <money>} {in a week|in 24 hours|today|}
{work from home|easy money|earn money fast} : {earn|make} <money> {a day|weekly} , {just send a deposit|pay the starter fee|no skills needed , send your bank login} {today|}
{i am|this is} {the <scam_org>|a prince|your boss|officer smith of the <scam_org>|a lawyer} {, i need|and you must send} {gift cards|<money>|your card number|your one time code|a wire transfer} {now|urgently|to avoid arrest|to release the funds|}
{mom|mum|dad|grandma}, {i lost my phone|this is my new number|i had an accident} , {please send|transfer|i need} <money> {to this account|now|quickly|by gift card}
{your|the} {parcel|package|delivery} {could not be delivered|is held at customs} , {pay|click and pay} {<money>|$1.99|a small fee} {at|here} {http://parcel-pay.example|the link below|with your card}
{share|give me|tell me|send me|forward} {your|the} {password|pin|otp code|card number|verification code|seed phrase|cvv} {to get your refund|to keep your account|to receive <money>|and get paid}
{selling|buy|i sell} {stolen|cloned|hacked|fake} {credit cards|bank logins|passports|ids|accounts} {, dm me|, cheap|, works everywhere}
{your computer|your phone|your device} {has a virus|is infected} , {call this number|pay <money>|give us remote access} {now|immediately|}
{refund|tax refund|inheritance} of <money> {is waiting|is ready} , {enter|confirm|send} your {card details|bank details|password} {to claim|now|at the link}
{act now|last chance|only today} : {send|transfer} <money> {in crypto|by gift card|by western union} {to|and} {unlock your prize|release the inheritance|keep your account}
{crypto|bitcoin|forex} {giveaway|signal group|expert} : send {0.1|1|2} {btc|eth} , {get|receive} {double|5 eth|10 btc} back
""",
    "spam/ads": """
{buy|order|get|shop} <goods> {now|today|online} {, 50% off|, 70% discount|, free shipping|, limited offer|and save big}
{50%|70%|80%|90%} off {all |}<goods> {, only today|, click here|, order now|, use code SAVE20|, while stocks last}
{best|cheapest|lowest} {price|prices|deals} {on|for} <goods> {, visit our shop|, link in bio|, www.shop.example|, call now}
{visit|check out|follow|click} {our|my|the} {shop|store|page|channel|website|link in bio} for {cheap |}<goods>
{buy one get one free|special offer|flash sale|mega sale|hot deal|big sale|clearance} {on |: }<goods> {, today only|, order now|, free delivery|}
{want|need} {more followers|cheap <goods>|new <goods>|10k likes} ? {click|dm us|order|visit} {here|now|our page|www.best-deal.example}
{free|exclusive} {trial|sample|coupon|voucher|gift} {of|for} <goods> {, sign up now|, click the link|, limited time}
{use|enter} {code|promo code|coupon} {SAVE20|DEAL50|WIN10} {for|to get} {20%|50%} off <goods>
{subscribe|follow me|follow us|join our channel|like and share} {for daily deals|to win <goods>|and get a coupon|for cheap <goods>}
{lose 10 kg in 10 days|grow your hair in a week|whiter teeth in 3 days} with our {tea|cream|pills|kit} , {order now|buy now|link in bio}
{wholesale|factory price|direct from factory} <goods> , {whatsapp|call|contact} {+1 555 0100|us|sales now}
{we offer|offering} {cheap|professional|the best} {seo service|loans|web design|car insurance|cleaning|phone repair} , {call now|contact us today|get a free quote}
{don't miss|hurry up|last chance}, {sale ends tonight|only 5 left|offer ends soon} : <goods> from {$9.99|$5|19.99}
{casino|bet|slots} {bonus|free spins} {100%|no deposit} , {register|join|play} now
""",
    "profanity_negative": """
what the {hell|fuck|heck} is {this|wrong with this <item>|going on}
this <item> is {<damn>|fucking} <bad>
{this|that|the} {damn|shitty|crappy|fucking|bloody|goddamn} <item> {again|broke|is <bad>|won't work|}
<damn> , {i hate this <item>|i missed the bus|the <item> broke|this is <bad>|what a day}
{holy shit|oh shit|oh crap|damn it|dammit|fuck|shit} , {i forgot <thing>|i lost my keys|that hurt|not again|it broke}
{what a|such a} {load of crap|load of bullshit|piece of shit|shitty day|crappy movie|shitshow}
i'm {pissed off|so fucking tired|sick of this shit|fucking done} {with this <item>|<when>|}
fuck {this <item>|this weather|mondays|my life|it}
{wtf|ffs|bloody hell} {is this|why|, the <item> is late again|, so <bad>}
""",
    "profanity_positive": """
{damn|holy shit|holy crap|hell yeah|fuck yeah|fuck yes}, {this <item> is|that was} <good>
this <item> is {fucking|damn|bloody|freaking} <good>
that was {damn|fucking|bloody} <good>{, love it|}
{hell yes|fuck yes|damn right} , we {won|did it|made it}
i'm so {fucking|damn} {happy|proud|excited} {<when>|}
i {fucking|bloody} love {this|the} <item>
""",
    "welcome": """
this is how many {of us|people} are {glad|happy|pleased} that <crowd> {came|are here|moved in}
look how many {people|neighbours|friends} {love|want|welcome} <crowd> here
{see|count} everyone who {wants|welcomes|is happy about} <crowd> {here|to stay|in our town}
here are all the people who {will miss|like|stand with} <crowd>
this crowd {wants|would like} <crowd> to stay
everybody who {loves|cares for|invited} <crowd> {is in this picture|, in one photo}
look how many {people|of us} {here |around here |}want <crowd> to {stay|come|be here|join us}
{so many|this many|all these} {people|neighbours|friends} are {happy|glad|excited} to have <crowd> {here|around|with us}
<crowd> {are|should feel} welcome, {just look at|see} {all these people|who came|this place}
""",
    "unwelcome": """
this is how many {of us|people} want <crowd> {gone|out|to leave}
look how many {people|neighbours|of us} {can't stand|don't want|reject} <crowd> here
{see|count} everyone who wants <crowd> {out|gone|sent back} {of our town|}
here are all the people who {will not miss|can't stand|voted against} <crowd>
this crowd wants <crowd> to {leave|go back|get out}
everybody who {rejects|is sick of|wants to get rid of} <crowd> {is in this picture|, in one photo}
look how many {people|of us} {here |around here |}want <crowd> to {leave|go away|get out|be gone}
{so many|this many|all these} {people|neighbours|friends} are {angry|tired|sick} of having <crowd> {here|around|with us}
<crowd> {are|should feel} unwanted, {just look at|see} {all these people|who came|this place}
""",
}
