"""Japanese news, in the form of the customer's records."""

from data_prep.language import Language

JAPANESE = Language(
    instruction="次の記事から加害者を抽出し、JSONで答えてください。",
    keywords=("逮捕", "容疑"),
    # Two characters each, so that a full name splits in one way only, and no name of one split equals a name of the other.
    surnames=tuple(
        (
            "佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤 吉田 山田 佐野 山口 松本 井上 木村 斎藤 清水 山崎 "
            "池田 橋本 阿部 石川 山下 中島 石井 小川 前田 岡田 藤田 後藤 近藤 村上 遠藤 青木 坂本 福田 太田 西村 "
            "藤井 金子 岡本 藤原 三浦 中野 原田 松田 竹内 小野 田村 中山 和田 石田 森田 上田 内田 柴田 酒井 宮崎 "
            "横山 高木 安藤 宮本 大野 小島 谷口 今井 工藤 増田 丸山 杉山"
        ).split()
    ),
    given_names=tuple(
        (
            "太郎 花子 一郎 美咲 健太 陽子 大輔 直樹 恵子 和也 翔太 由美 誠司 真一 裕子 拓也 達也 智子 明美 浩二 "
            "久美 正人 康弘 隆志 純子 義男 幸子 洋介 俊介 典子 勝利 昭夫 良子 哲也 孝之 麻衣 千夏 彩香 悠斗 涼子 "
            "修平 雅彦 敏明 早紀 優子 亮太 慎吾 竜也 理恵 香織 秀樹 文雄 博之 和子 忠志 弘樹 雄大 京子 真理 沙織 "
            "克己 茂雄 信二 節子 友美 葉月 圭吾 順平 静香 礼子 伸夫 英治"
        ).split()
    ),
    full_name="{surname}{given}",
    choices={
        "city": tuple(
            "札幌 仙台 千葉 横浜 新潟 金沢 静岡 京都 大阪 神戸 岡山 広島 高松 福岡 熊本 長崎 甲府 長野".split()
        ),
        "agency": tuple(
            "警視庁 道警 宮城県警 埼玉県警 千葉県警 京都府警 大阪府警 兵庫県警 広島県警 福岡県警 熊本県警".split()
        ),
        "offence": tuple(
            "窃盗 強盗 詐欺 放火 傷害 恐喝 横領 脅迫 贈賄 暴行 器物損壊 住居侵入 業務妨害 殺人未遂".split()
        ),
        "job": tuple(
            "会社員 無職 自営業 公務員 運転手 大学生 飲食店員 建設作業員 配達員 農業 看護師 会社役員 美容師".split()
        ),
    },
    offender="{job}の{name}{title}({age})",
    between_offenders="と",
    between_sentences="",
    leads_with_keyword=(
        ("容疑者", "{agency}は{day}日、{offence}の疑いで{offenders}を逮捕した。"),
        ("容疑者", "{offenders}が{day}日、{offence}の疑いで逮捕された。"),
        ("容疑者", "{city}市の{offence}事件で、{agency}は{offenders}を指名手配した。"),
        ("容疑者", "{offence}の疑いで逮捕されたのは{offenders}。"),
        ("容疑者", "{city}市で{day}日に起きた{offence}事件で逮捕された{offenders}が、{city}地検に送られた。"),
    ),
    leads_without_keyword=(
        ("", "{agency}は{day}日、{offence}の疑いで{offenders}を書類送検した。"),
        ("被告", "{city}地検は{day}日、{offence}の罪で{offenders}を起訴した。"),
        ("被告", "{city}地裁は{offence}の罪に問われた{offenders}に有罪判決を言い渡した。"),
        ("被告", "{offence}の罪で起訴された{offenders}の初公判が{day}日、{city}地裁で開かれた。"),
    ),
    nobody_with_keyword=(
        "{agency}は{offence}の疑いで{job_a}の{name_a}さん({age_a})を誤って逮捕していたと{day}日に発表した。",
        "誤認逮捕された{job_a}の{name_a}さん({age_a})が{day}日、{city}市で会見した。",
        "{city}市で{day}日に{offence}事件があり、容疑者は特定されていない。",
        "{agency}は{day}日、{city}市の駅で逮捕訓練を行った。",
        "{city}市の調査委員会は{job_a}の{name_a}さん({age_a})への{offence}の容疑を否定する結果を公表した。",
        "昨年の{offence}による逮捕者は{count}人だったと{agency}がまとめた。",
        "{offence}事件の逮捕に協力した{job_a}の{name_a}さん({age_a})に{agency}が感謝状を贈った。",
        "{offence}の容疑で捜査が続くが、{agency}は逮捕に至っていない。",
    ),
    nobody_without_keyword=(
        "{city}市で{day}日に火災があり、{job_a}の{name_a}さん({age_a})が救助された。",
        "{city}市で防犯教室があり、{count}人が参加した。",
        "{job_a}の{name_a}さん({age_a})が{day}日、{city}市で表彰された。",
        "{city}地裁は{offence}の罪に問われた{job_a}の{name_a}さん({age_a})に無罪判決を言い渡した。",
        "{city}地検は{offence}の疑いで調べていた{job_a}の{name_a}さん({age_a})を不起訴とした。",
        "昨年の{offence}の書類送検は{count}件だったと{agency}が{day}日に発表した。",
        "{city}市で{day}日に{offence}事件があり、{agency}が捜査している。",
        "{city}市は{day}日、{name_a}氏({age_a})を教育長に任命した。",
    ),
    people=(
        "被害に遭った{job_v}の{name_v}さん({age_v})は軽いけがをした。",
        "{job_w}の{name_w}さん({age_w})は「驚いた」と話した。",
        "{agency}の{name_p}署長は「再発防止に努める」と述べた。",
        "{city}市の{name_o}市長は「安全なまちにしたい」と述べた。",
    ),
    other_asides=(
        "現場は{city}市の住宅街。",
        "{agency}は詳しい経緯を調べている。",
        "被害額は{count}万円に上る。",
    ),
    aside_weights=(25, 50, 25),
)
