"""Fillers for the English templates."""
# ruff: noqa: E501 - a template is one line

SLOTS: dict[str, str] = {
    "good": (
        "great|good|amazing|awesome|wonderful|fantastic|excellent|lovely|brilliant|superb|perfect|beautiful|delightful|"
        "fabulous|incredible|outstanding|terrific|marvellous|marvelous|impressive|gorgeous|charming|pleasant|stunning|"
        "delicious|tasty|adorable|cute|cozy|cosy|fun|enjoyable|hilarious|funny|sweet|nice|cool|solid|smooth|fresh|"
        "comfortable|reliable|helpful|friendly|kind|polite|generous|thoughtful|refreshing|relaxing|inspiring|uplifting|"
        "heartwarming|magical|memorable|flawless|phenomenal|spectacular|splendid|first-class|top notch|spot on|"
        "worth every penny|a joy|a treat|a delight|a gem|a masterpiece|super|elegant|clever|satisfying|remarkable"
    ),
    "bad": (
        "bad|terrible|awful|horrible|disappointing|poor|dreadful|boring|dull|ugly|disgusting|gross|annoying|frustrating|"
        "useless|broken|rude|slow|cold|stale|bland|tasteless|overpriced|dirty|filthy|noisy|cheap|flimsy|unreliable|"
        "painful|miserable|depressing|sad|pathetic|lousy|mediocre|unacceptable|appalling|atrocious|abysmal|shameful|"
        "a mess|a disaster|a joke|a letdown|a waste of money|a waste of time|a nightmare|a disappointment|buggy|laggy|"
        "unbearable|exhausting|stressful|confusing|soggy|greasy|smelly|faulty|defective|embarrassing|the worst|worse|"
        "ridiculous|infuriating|underwhelming|unfair|unprofessional|careless|uncomfortable|dishonest|depressing"
    ),
    "felt_good": (
        "happy|so happy|glad|thrilled|excited|delighted|grateful|thankful|proud|relieved|blessed|pleased|overjoyed|"
        "in a great mood|over the moon|on cloud nine|loved|hopeful|optimistic|content|at peace|cheerful|ecstatic|"
        "impressed|amazed|satisfied|lucky|full of energy|super excited|really happy"
    ),
    "felt_bad": (
        "sad|angry|furious|upset|disappointed|frustrated|annoyed|heartbroken|devastated|miserable|exhausted|stressed|"
        "anxious|worried|tired of this|fed up|lonely|let down|ashamed|disgusted|bitter|gutted|depressed|down|worn out|"
        "scared|irritated|mad|really upset|so disappointed|sick of it|betrayed|ignored"
    ),
    "very": "very|really|so|truly|absolutely|incredibly|super|extremely|pretty|just|simply|totally|quite|honestly|",
    "item": (
        "coffee|pizza|burger|soup|noodles|cake|breakfast|dinner|lunch|food|tea|bread|phone|laptop|headset|camera|screen|"
        "battery|keyboard|jacket|shoes|dress|backpack|sofa|mattress|bike|car|app|update|website|game|movie|film|book|"
        "album|song|concert|show|series|episode|ending|soundtrack|hotel|room|flight|train ride|trip|museum|restaurant|"
        "cafe|bakery|barber|gym|class|course|workshop|lecture|meeting|service|staff|waiter|driver|delivery|package|"
        "support team|customer service|neighbourhood|park|beach|view|weather|garden|match|party|wedding|gift|product|"
        "quality|experience|atmosphere|place|design|headphones|recipe|playlist|weekend|holiday|vacation|puppy|kitten"
    ),
    "person": (
        "my mum|my mom|my dad|my sister|my brother|my friend|my boss|my neighbour|my teacher|my daughter|my son|my wife|"
        "my husband|the chef|the coach|the team|our guide|the nurse|the doctor|the kids|my colleague|everyone|"
        "the whole family|the band|the host|my roommate|grandma|the driver|the receptionist|the crew|he|she|they"
    ),
    "when": (
        "today|yesterday|tonight|this morning|last night|this weekend|on Monday|on Friday|last week|this afternoon|"
        "after work|at lunch|this year|again|right now|on Sunday|this evening|lately|at 5 pm|in the morning"
    ),
    "day": "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|tomorrow|next week|May 3|June 12|October 9",
    "hour": "9 am|10:30|noon|2 pm|3:15|6 pm|7:45|8 o'clock|half past four|09:00|18:30",
    "place": (
        "the library|the office|room 204|platform 3|the station|the town hall|the school|the community centre|gate B12|"
        "the second floor|Main Street|the car park|the museum|the clinic|the post office|the airport|the city centre|"
        "the bus stop|the bridge|the lobby|the supermarket|the park|Berlin|London|Boston|Shanghai"
    ),
    "thing": (
        "the report|the form|the schedule|the invoice|the agenda|the minutes|the parcel|the key|the ticket|the password|"
        "the manual|the spreadsheet|the printer|the projector|the slides|the contract|the map|the receipt|the list|"
        "the charger|the umbrella|the box|the document|the new version|the draft|the survey"
    ),
    "insult": (
        "idiot|moron|loser|clown|fool|pathetic loser|dumb fool|stupid idiot|coward|worthless nobody|waste of space|"
        "disgrace|brainless clown|ugly freak|creep|liar|pig|rat|rude little brat|piece of garbage|piece of trash|"
        "total failure|dimwit|joke of a person|dumbest person alive|useless lump"
    ),
    "harm": (
        "hurt you|kill you|beat you up|break your legs|smash your face|burn your house down|stab you|shoot you|"
        "make you bleed|punch you in the face|knock your teeth out|strangle you|destroy you|make you suffer|"
        "cut you|break your neck|run you over|put you in hospital|put you in the ground|end you|murder you|"
        "beat you to a pulp|break every bone in your body|slit your throat|choke you"
    ),
    "harming": (
        "killing you|hurting you|beating you up|shooting all of them|stabbing him|burning it all down|blowing it up|"
        "shooting up the place|smashing his head in|breaking your bones|bombing the building|attacking them"
    ),
    "target": (
        "you|him|her|them|your family|everyone there|all of them|that man|your brother|those people|the whole office|"
        "your friends|my boss|the teacher|the driver|the referee"
    ),
    "drug": (
        "weed|pills|powder|party pills|edibles|mushrooms|ket|coke|cocaine|meth|heroin|ecstasy|mdma|molly|acid tabs|lsd|"
        "xanax bars|oxy|fentanyl|green|snow|bud|vape carts|speed|crystal"
    ),
    "scam_org": (
        "bank|tax office|parcel service|post office|lottery|crypto exchange|payment app|phone company|prize centre|"
        "customs|account security team|social security office|streaming service|delivery company|wallet support|"
        "police cyber unit|credit card company|embassy|refund department"
    ),
    "money": (
        "$500|$1,000|$5000|$10,000|$50|$250,000|€900|£2,000|1 million dollars|300 dollars|2 BTC|0.5 BTC|1 ETH|$99|"
        "a $100 gift card|ten thousand dollars|500 euros|$3,000 a week|$800 a day|3000 dollars"
    ),
    "goods": (
        "watches|sneakers|sunglasses|handbags|shoes|phones|perfume|t-shirts|vitamins|slimming tea|skin cream|headphones|"
        "power banks|jackets|mattresses|phone cases|followers|likes|web hosting|SEO service|diet pills|LED lamps|rings|"
        "mobile plans|dresses|air fryers|e-bikes|mugs|toys|supplements|makeup|car insurance|casino bonus"
    ),
    "damn": (
        "damn|hell|crap|bloody hell|freaking|goddamn|holy crap|what the hell|wtf|bloody|darn|bullcrap|damned|damn it|"
        "dammit|shit|shitty|bullshit|pissed off|ass|f**k|f***ing|sh*t|crappy|fucking|fuck|af|bastard"
    ),
    "oh": "omg|wow|lol|haha|ugh|hmm|well|honestly|ok so|hey|hi all|guys|tbh|update:|fyi|psst|yo|hello|so|and|but|look|",
    "joy": "😊|😍|🥰|😄|🎉|❤️|👍|✨|😁|🙌|💕|🤩|😀|💯|🥳|🌸|🎂|😻|👏|:)|:D|<3|^^",
    "gloom": "😡|😭|😞|😠|💔|👎|😢|🤮|😤|😩|🙄|😔|😣|🤬|☹️|:(|:'(|>:(|-_-",
    "plain": "📅|📍|🕒|📦|ℹ️|📝|🚌|🔗|📷|☕|🗓️|📌|🔧|🏢|",
    "crowd": "you people|you lot|your kind|newcomers like you|people like you|you and your family|your group|folks from over there|you foreigners|your sort",
}
