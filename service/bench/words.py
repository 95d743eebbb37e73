"""Fragments of everyday posts, English and Chinese, from which the bench's texts are put together."""

from __future__ import annotations

from typing import Final

ENGLISH: Final = (
    "just got home from work", "anyone else watching the game tonight", "this new phone is honestly amazing",
    "the battery died after two hours", "would not recommend this place to anyone", "best noodles in town",
    "my train is late again", "thank you all for the birthday wishes", "I can't believe the season is over",
    "finally finished that book", "customer service kept me waiting for an hour", "the weather is lovely",
    "so tired today", "does anybody know a good dentist", "you people are unbelievable", "what a goal",
    "that update broke everything", "prices went up again", "we adopted a kitten", "happy to help",
    "see you on Saturday", "the film was better than I expected", "worst customer experience ever",
    "shut up and leave me alone", "congratulations on the new job", "is it only me or is this app slow",
    "cheap watches, order now", "check the link in my profile", "the doctor says it is nothing serious",
    "our flight was cancelled without a word", "I love how quiet the park is in the morning",
    "they never answered my e-mail", "this song has been in my head all day", "look at this sunset",
    "the kids built a castle out of boxes", "no idea what the meeting was about", "great value for the money",
    "who is going to the market tomorrow", "my neighbour plays the drums at midnight", "stay safe everyone",
)  # fmt: skip

CHINESE: Final = (
    "今天天气真好", "刚下班回到家", "这家店的面太好吃了", "快递又晚了两天", "客服一直不回复", "生日快乐",
    "这部电影比想象中好看", "手机更新以后特别卡", "有没有人推荐一家牙科", "周末一起去爬山吧", "价格又涨了",
    "孩子们玩得很开心", "谢谢大家的祝福", "比赛太精彩了", "再也不会买这个牌子", "地铁里人好多", "加油",
    "新同事很热情", "昨晚没睡好", "这首歌单曲循环了一整天", "你们太过分了", "公园早上特别安静", "性价比很高",
    "航班取消了也没人通知", "我家猫又打翻了杯子", "低价手表，点击链接", "夕阳好美", "终于把书看完了",
)  # fmt: skip

ENDINGS: Final = (
    "",
    "",
    "",
    "!",
    "!!",
    " 😀",
    " 😂😂",
    " #weekend",
    " @friend",
    " …",
    "？",
    " https://example.org/p/1",
)
