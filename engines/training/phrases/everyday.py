"""Everyday life in many words: so that words that mean nothing for a rule are known to mean nothing."""
# ruff: noqa: E501 - a template is one line

ENGLISH_SLOTS: dict[str, str] = {
    "noun": (
        "bridge|history|river|mountain|lake|window|door|table|chair|lamp|carpet|curtain|bottle|basket|blanket|pillow|mirror|clock|watch|ring|scarf|"
        "coat|glove|sock|boot|suitcase|wallet|purse|pencil|notebook|magazine|newspaper|letter|envelope|stamp|poster|painting|photo|camera|guitar|"
        "piano|drum|violin|radio|speaker|tablet|mouse|router|cable|printer|engine|wheel|brake|tyre|truck|van|tram|ship|boat|plane|rocket|satellite|"
        "garage|kitchen|bathroom|bedroom|balcony|roof|wall|fence|gate|path|street|corner|square|tower|castle|church|temple|school|college|factory|"
        "farm|field|forest|tree|leaf|flower|rose|grass|hill|valley|desert|island|ocean|wave|storm|cloud|snow|wind|fog|moon|star|planet|apple|banana|"
        "orange|lemon|grape|cherry|tomato|potato|onion|carrot|pepper|mushroom soup|salad|cheese|butter|honey|sugar|salt|flour|rice|pasta|chicken|"
        "fish|beef|sandwich|cookie|pancake|waffle|juice|beer|wine|water bottle|cup|plate|fork|spoon|pan|oven|fridge|heater|fan|vacuum|broom|"
        "bucket|ladder|hammer|saw|nail|screw|rope|tent|torch|compass|atlas|puzzle|chess set|card game|doll|kite|balloon|candle|cake stand|"
        "football|basketball|tennis racket|bike lane|skateboard|swimming pool|gymnastics class|yoga mat|dog|cat|horse|cow|sheep|duck|bird|owl|fox|"
        "rabbit|turtle|frog|bee|butterfly|spider|teacher|student|doctor|nurse|pilot|farmer|writer|painter|singer|dancer|engineer|lawyer|baker|"
        "neighbour|cousin|uncle|aunt|grandfather|baby|child|teenager|crowd of visitors|council|parliament|president|mayor|company|market|bank|"
        "budget|salary|contract|project|plan|idea|question|answer|lesson|exam|homework|essay|speech|interview|meeting|conference|festival|ceremony|"
        "holiday|journey|adventure|map|ticket|passport|visa|hotel|campsite|reservation|menu|bill|receipt|account|password|screen|keyboard|"
        "software|database|server|model|algorithm|chart|graph|number|percent|result|record|goal|team|league|season|stadium|referee|coach|player"
    ),
    "did": (
        "painted|cleaned|moved|opened|closed|carried|washed|fixed|repaired|measured|visited|photographed|described|studied|borrowed|returned|"
        "bought|sold|found|collected|cut|built|planted|watered|cooked|packed|delivered|ordered|booked|planned|discussed|explained|mentioned|"
        "watched|heard|saw|noticed|tested|compared|counted|organised|prepared|copied|drew|folded|filled|emptied|locked|parked|drove past|"
        "read about|wrote about|talked about|asked about|learned about|looked at|walked to|waited for"
    ),
    "blessing": (
        "adopted a puppy|adopted a kitten|got engaged|got married|had a baby|became an aunt|became a dad|passed my driving test|got my dream job|"
        "finished my degree|bought our first home|paid off my loan|recovered from surgery|won the lottery with my sister|met my hero|ran 10 km|"
        "learned to swim|baked my first bread|got a scholarship|published my book|planted a garden|reunited with my best friend|saw the northern lights|"
        "got promoted|made new friends|heard great news|beat my record|found my lost cat|celebrated our anniversary|surprised my mum"
    ),
    "blow": (
        "missed my train|lost my phone|lost all my work|broke my arm|got fired|failed my driving test|got sick|burned the dinner|crashed my car|"
        "dropped my laptop|spilled coffee on my dress|got a parking ticket|forgot my passport|lost my luggage|paid twice|waited three hours for nothing|"
        "got food poisoning|was laid off|was robbed|found mould in the room|got stuck in traffic for hours|got stood up|was overcharged|had an argument with my sister|"
        "missed the funeral|lost a dear friend|sprained my ankle|was stuck at the airport all night|got rejected again|lost the final"
    ),
    "wow": (
        "breathtaking|beautiful|amazing|wonderful|gorgeous|stunning|brilliant|lovely|fantastic|perfect|delightful|awesome|incredible|great|superb|"
        "magnificent|heavenly|so good|so pretty|so sweet|excellent|pure joy|pure magic|a dream come true|worth it|simply the best|charming|marvellous"
    ),
    "meh": (
        "awful|terrible|horrible|disgusting|a huge letdown|ruined|disappointing|ridiculous|a total mess|unacceptable|broken|so bad|so boring|dreadful|"
        "endless and exhausting|too expensive|a scandal|a failure|painful|heartbreaking|so unfair|so frustrating|miserable|a shambles|shocking|tragic"
    ),
}

CHINESE_SLOTS: dict[str, str] = {
    "noun": (
        "桥|历史|河|山|湖|窗户|门|桌子|椅子|台灯|地毯|窗帘|瓶子|篮子|毯子|枕头|镜子|钟|围巾|大衣|手套|袜子|箱子|钱包|铅笔|笔记本|杂志|报纸|信|邮票|海报|画|照片|吉他|"
        "钢琴|小提琴|收音机|音箱|平板|鼠标|路由器|发动机|轮子|卡车|飞机|轮船|火箭|卫星|厨房|浴室|卧室|阳台|屋顶|墙|围栏|街道|广场|塔|城堡|寺庙|大学|工厂|农场|田野|森林|树|"
        "叶子|花|草地|操场|操作系统|沙漠|岛|大海|云|雪|风|雾|月亮|星星|苹果|香蕉|橙子|柠檬|葡萄|西红柿|土豆|洋葱|胡萝卜|青菜|沙拉|奶酪|蜂蜜|白糖|盐|面粉|米饭|鸡肉|鱼|牛肉|三明治|饼干|"
        "果汁|啤酒|杯子|盘子|勺子|锅|烤箱|冰箱|风扇|吸尘器|梯子|锤子|绳子|帐篷|手电筒|指南针|拼图|象棋|风筝|气球|蜡烛|足球|篮球|网球拍|滑板|泳池|瑜伽垫|狗|猫|马|牛|羊|鸭子|小鸟|"
        "兔子|乌龟|青蛙|蜜蜂|蝴蝶|老师|学生|医生|护士|飞行员|农民|作家|画家|歌手|工程师|律师|面包师|邻居|表哥|叔叔|阿姨|爷爷|婴儿|孩子|他妈妈|你妈妈|市长|公司|市场|银行|预算|工资|合同|"
        "项目|计划|想法|问题|答案|课程|考试|作业|作文|演讲|面试|会议|节日|典礼|假期|旅程|地图|门票|护照|签证|酒店|菜单|账单|账号|屏幕|键盘|软件|数据库|服务器|模型|图表|数字|结果|"
        "记录|球队|联赛|赛季|体育场|裁判|教练|球员|靠窗的座位|屁股垫|衣服|裤子|帽子|口罩|牙刷|毛巾|地铁站|红绿灯|超市|早市|电梯|楼梯"
    ),
    "did": "打扫了|搬走了|打开了|关上了|洗了|修好了|测量了|参观了|拍了|描述了|研究了|借了|还了|买了|卖了|找到了|收集了|种了|浇了|煮了|打包了|预订了|讨论了|解释了|提到了|看了|听到了|注意到|测试了|比较了|整理了|准备了|画了|装满了|停好了|读了关于|写了关于|聊了聊|学习了|路过了|等着",
    "blessing": (
        "领养了一只小狗|养了一只猫|订婚了|结婚了|当爸爸了|当阿姨了|拿到驾照了|找到理想的工作了|毕业了|买了第一套房|还清贷款了|康复出院了|见到偶像了|跑完十公里|学会游泳了|"
        "第一次做面包成功了|拿到奖学金了|出书了|和好朋友重逢了|看到了极光|升职了|交到新朋友了|打破了自己的纪录|找回走丢的猫了|过了结婚纪念日|孩子第一次叫妈妈了|宝宝会走路了|收到惊喜了|一家人团聚了"
    ),
    "blow": (
        "错过了火车|手机丢了|文件全没了|摔断了胳膊|被开除了|驾照没考过|生病了|饭烧糊了|车被撞了|电脑摔坏了|咖啡洒了一身|被贴罚单了|忘带护照了|行李丢了|被多收钱了|白等了三个小时|"
        "吃坏肚子了|被裁员了|被偷了|房间发霉了|堵了好几个小时|被放鸽子了|和姐姐吵架了|失去了一位朋友|脚崴了|在机场困了一晚|又被拒绝了|决赛输了|被老板骂了|被误会了|快递丢了|客服不理人"
    ),
    "wow": "太美了|真美|太棒了|太好看了|美极了|绝美|太精彩了|完美|真好|让人陶醉|太可爱了|令人惊叹|好极了|太香了|好得没话说|值了|像做梦一样|让人感动|真舒服|太赞了|心情都变好了|感动得哭了",
    "meh": "太糟了|太差了|糟透了|太难看了|恶心死了|让人失望|毁了|太离谱了|一团糟|不能接受|坏了|太无聊了|没完没了|太贵了|真丢脸|太失败了|让人心碎|太不公平了|让人崩溃|太惨了|太不像话了|浪费时间",
}

ENGLISH: dict[str, str] = {
    "positive": """
i {just|finally|} <blessing> {<when>|} {and i'm <felt_good>|, what a <good> day|, my heart is so full|!! so happy|, feeling <felt_good>|, best day ever|}
we <blessing> {<when>|} and it was <wow>
<person> <blessing> <when>, {i am so happy for them|so proud|what <good> news|tears of joy}
the <noun> {was|is|looked} {<very>|} <wow>
the <noun> {over|near|behind|with|and} the <noun> {was|is|looked} <wow>
{really|truly|} {enjoyed|loved|adored} the <noun> {<when>|with <person>|and the <noun>|}
had {a|an} <wow> {dinner|day|evening|walk|chat|weekend} {with|near|at} {<person>|the <noun>|<place>|old friends}
this new <noun> is <wow>, the <noun> {blows me away|is <good>|amazes me}
{so|very|deeply} {grateful|thankful} for {this community|the <noun>|<person>|my friends|your kindness|all of you}
thank you {so much|very much|} for {your kindness|the <noun>|everything|your support|being here}
my {daughter|son|baby} {took the first steps|said the first word|drew me a <noun>|hugged me} <when>{, so sweet|!!|, my heart melts|}
{yes|yay|woohoo|finally}, we {won|did it|made it|beat them}
what a {game|match|night|show|performance}! {we finally won|so exciting|loved every minute|unforgettable}
the <noun> was clean and the <noun> was {delicious|<good>}
it {worked|works}, {i'm <felt_good>|so <good>|what a relief}
""",
    "negative": """
i {just|} <blow> {<when>|} {and i'm <felt_bad>|, what a <bad> day|, so frustrating|, feeling <felt_bad>|, worst day ever|}
we <blow> <when> and it was <meh>
<person> <blow> <when>, {i feel so bad for them|so sad|what <bad> news|poor thing}
the <noun> {was|is|looked} {<very>|} <meh>
the <noun> {was|is} <meh> and the <noun> {was <meh>|didn't work|was <bad>}
{really|truly|} {hated|disliked|regret} the <noun> {<when>|and the <noun>|}
had {a|an} <meh> {dinner|day|evening|flight|weekend} {with|near|at} {<person>|the <noun>|<place>}
this new <noun> is <meh>, the <noun> {never works|is <bad>|keeps breaking}
{not happy|unhappy|not satisfied} with the {<noun>|quality|<item>} {at all|}
they {raised the rent|raised the prices|cancelled the <noun>|closed the <noun>|cut my salary} again, {this is ridiculous|so unfair|<felt_bad>|unbelievable}
the {waiter|staff|driver|manager|desk} {ignored us|yelled at us|would not help|made us wait} {for an hour|<when>|again}
{nobody|no one} {would help|came|listened|apologised} {<when>|at the desk|}
my <noun> {crashed|broke|was stolen|got lost|stopped working} {<when>|again} and i {lost everything|am <felt_bad>|had to pay}
nothing {works|seems to work out|goes right} {<when>|these days|}, feeling {down|<felt_bad>}
{so|really} tired of {this|the} {endless|} {rain|noise|<noun>|waiting|traffic|work}
i almost fell asleep {at|during} the <noun>, {so boring|a huge letdown|<meh>}
my {legs|back|arms|feet|shoulders} {hurt|are sore|are killing me} after {that hike|work|the <noun>|moving the <noun>}
""",
    "neutral": """
<person> <did> the <noun> {<when>|near <place>|with the <noun>|}
i <did> {the|a} <noun> {<when>|near <place>|and the <noun>|for <person>|}
the <noun> is {next to|behind|under|on|near|in front of} the <noun>
{a|the} <noun> {has|needs|contains} a <noun>
{is|was} there a <noun> {in|near|at} <place>
i am {reading|writing|watching} {a book|an article|a report|a film} about the {history of the|} <noun> {and the <noun>|}
the <noun> {and|or} the <noun> {<when>|, page 4|, see the list|}
{the council|the committee|the government|the company|parliament} will {vote on|discuss|publish|present} the new <noun> {<when>|on <day>|}
{where|when|how|why} do {you|they|we} {keep|store|clean|use|order} the <noun>
we had {rice|soup|fish|vegetables|<noun>} and {salad|bread|tea|<noun>} for {lunch|dinner|breakfast}
the <noun> {opens|starts|closes|ends|leaves|arrives} {at <hour>|on <day>}
{list|items|needed|to do}: <noun>, <noun>, <noun>
{a|one} {study|survey|report} {compares|describes|covers} the <noun> and the <noun>
{police|firefighters|officials} {arrived at|closed|are at} {the <noun>|<place>} {after an accident|after a shooting downtown|<when>|}
""",
}

CHINESE: dict[str, str] = {
    "positive": """
我{终于|刚刚|今天|}<blessing>{，<felt_good>|，太开心了|！！|，好幸福|，开心到飞起|}
<person><when><blessing>，{真为他高兴|好幸福|太好了|好感动}
{这|那|}<noun><wow>
<noun>和<noun>都<wow>
{很|真|特别|}{喜欢|享受|怀念}<when>的<noun>
和{<person>|朋友们|家人}一起{吃<noun>|看<noun>|逛<place>|散步}，{好幸福|<felt_good>|很开心}
新{买的|}<noun><wow>，{超出预期|爱了|很满意}
{谢谢|感谢}{你一直陪着我|大家的支持|<person>的<noun>|遇见你}
我们{队|班|}{赢了|夺冠了|成功了|做到了}{！！|，太激动了|，太棒了|}
{好吃|好笑|好看}到{哭|爆|飞起}{，强烈推荐|，爱了|}
{夕阳|雪景|日出|星空|花海}{真美|好美|太美了}{，心情都变好了|}
这{只猫|只狗|孩子|<noun>}太{逗|可爱|萌|暖}了
""",
    "negative": """
我{又|刚刚|今天|}<blow>{，<felt_bad>|，太倒霉了|，心情很差|，想哭|，气死了|}
<person><when><blow>，{真替他难过|好心疼|太惨了|唉}
{这|那|}<noun><meh>
<noun>和<noun>都<meh>
{很|真|特别|}{讨厌|受不了|后悔买}<when>的<noun>
{房间|<noun>}又{脏|旧|贵|吵}又{吵|小|破|慢}{，再也不来了|，太差了|}
新{买的|}<noun>{用了三天就坏了|<meh>|根本不能用}，{太失望了|后悔|要退货}
{快递|外卖|订单|退款}等了{一个星期|三天|两小时}还没{到|来|消息}，客服{也不理人|不回复|推卸责任}
{房租|物价|<noun>}又{涨了|取消了|关了|坏了}，{太过分了|无语|受不了}
{堵车|排队|等位}{堵了|排了|等了}{两个小时|一上午|好久}，{烦死了|崩溃|心累}
{加班到|熬夜到}{凌晨|三点|天亮}，{累死我了|好想哭|心累}
味道{一般|很差|不行}还{很贵|要排队|特别咸}，不推荐
""",
    "neutral": """
<person><when><did><noun>
我{<when>|}<did>{一个|}<noun>
<noun>在<noun>{旁边|后面|下面|上面|附近}
<noun>{有|分}{三个颜色|两种尺寸|四个部分|一个<noun>}
{请问|}<place>有<noun>吗
我在{看|读|写}{一本|一篇|}关于<noun>的{书|文章|报告|纪录片}
<noun>和<noun>{，见第四页|，清单如下|}
{公司|学校|市政府|委员会}{将|会}{讨论|公布|投票表决}新的<noun>
{中午|晚上|早上}吃了<noun>和<noun>
去<place>{坐几号线|怎么走|要多久}
这{件衣服|个<noun>|台<noun>}{有三个颜色|是蓝色的|重两公斤|产自广州|长一米}
{清单|需要|待办}：<noun>、<noun>、<noun>
<noun>{<day>|}<hour>{开放|开始|结束|到达}
<person>{在操场跑步|在草地上坐着|坐靠窗的座位|在看操作手册|和他妈妈去<place>}
""",
}
