"""Makes synthetic Japanese news records in the customer's format, seeded and streamed, in place of the private data.

The rule "a word of arrest or suspicion is in the article" must not be enough. So many negatives contain such a word without an
offender (an exercise, a wrong arrest, nobody identified), some positives contain none (charged, convicted), and victims,
officers and officials are named in both.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Literal

Split = Literal["train", "validation"]
Record = dict[str, str]

INSTRUCTION = "次の記事から加害者を抽出し、JSONで答えてください。"
KEYWORDS: tuple[str, ...] = ("逮捕", "容疑")

# Two characters each, so that a full name splits in one way only, and no name of one split equals a name of the other.
_SURNAMES = (
    "佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤 吉田 山田 佐野 山口 松本 井上 木村 斎藤 清水 山崎 "
    "池田 橋本 阿部 石川 山下 中島 石井 小川 前田 岡田 藤田 後藤 近藤 村上 遠藤 青木 坂本 福田 太田 西村 "
    "藤井 金子 岡本 藤原 三浦 中野 原田 松田 竹内 小野 田村 中山 和田 石田 森田 上田 内田 柴田 酒井 宮崎 "
    "横山 高木 安藤 宮本 大野 小島 谷口 今井 工藤 増田 丸山 杉山"
).split()
_GIVEN_NAMES = (
    "太郎 花子 一郎 美咲 健太 陽子 大輔 直樹 恵子 和也 翔太 由美 誠司 真一 裕子 拓也 達也 智子 明美 浩二 "
    "久美 正人 康弘 隆志 純子 義男 幸子 洋介 俊介 典子 勝利 昭夫 良子 哲也 孝之 麻衣 千夏 彩香 悠斗 涼子 "
    "修平 雅彦 敏明 早紀 優子 亮太 慎吾 竜也 理恵 香織 秀樹 文雄 博之 和子 忠志 弘樹 雄大 京子 真理 沙織 "
    "克己 茂雄 信二 節子 友美 葉月 圭吾 順平 静香 礼子 伸夫 英治"
).split()
_VALIDATION_SHARE = 5

_CITIES = "札幌 仙台 千葉 横浜 新潟 金沢 静岡 京都 大阪 神戸 岡山 広島 高松 福岡 熊本 長崎 甲府 長野".split()
_AGENCIES = "警視庁 道警 宮城県警 埼玉県警 千葉県警 京都府警 大阪府警 兵庫県警 広島県警 福岡県警 熊本県警".split()
_OFFENCES = "窃盗 強盗 詐欺 放火 傷害 恐喝 横領 脅迫 贈賄 暴行 器物損壊 住居侵入 業務妨害 殺人未遂".split()
_OCCUPATIONS = "会社員 無職 自営業 公務員 運転手 大学生 飲食店員 建設作業員 配達員 農業 看護師 会社役員 美容師".split()

# A slot is named kind_suffix; the suffix distinguishes the people of an article. `offenders` is one slot for all offenders.
_Lead = tuple[str, str]
"""The title after an offender's name, and the sentence."""

_LEADS_WITH_KEYWORD: tuple[_Lead, ...] = (
    ("容疑者", "{agency}は{day}日、{offence}の疑いで{offenders}を逮捕した。"),
    ("容疑者", "{offenders}が{day}日、{offence}の疑いで逮捕された。"),
    ("容疑者", "{city}市の{offence}事件で、{agency}は{offenders}を指名手配した。"),
    ("容疑者", "{offence}の疑いで逮捕されたのは{offenders}。"),
    ("容疑者", "{city}市で{day}日に起きた{offence}事件で逮捕された{offenders}が、{city}地検に送られた。"),
)
_LEADS_WITHOUT_KEYWORD: tuple[_Lead, ...] = (
    ("", "{agency}は{day}日、{offence}の疑いで{offenders}を書類送検した。"),
    ("被告", "{city}地検は{day}日、{offence}の罪で{offenders}を起訴した。"),
    ("被告", "{city}地裁は{offence}の罪に問われた{offenders}に有罪判決を言い渡した。"),
    ("被告", "{offence}の罪で起訴された{offenders}の初公判が{day}日、{city}地裁で開かれた。"),
)
_NOBODY_WITH_KEYWORD = (
    "{agency}は{offence}の疑いで{job_a}の{name_a}さん({age_a})を誤って逮捕していたと{day}日に発表した。",
    "誤認逮捕された{job_a}の{name_a}さん({age_a})が{day}日、{city}市で会見した。",
    "{city}市で{day}日に{offence}事件があり、容疑者は特定されていない。",
    "{agency}は{day}日、{city}市の駅で逮捕訓練を行った。",
    "{city}市の調査委員会は{job_a}の{name_a}さん({age_a})への{offence}の容疑を否定する結果を公表した。",
    "昨年の{offence}による逮捕者は{count}人だったと{agency}がまとめた。",
    "{offence}事件の逮捕に協力した{job_a}の{name_a}さん({age_a})に{agency}が感謝状を贈った。",
    "{offence}の容疑で捜査が続くが、{agency}は逮捕に至っていない。",
)
_NOBODY_WITHOUT_KEYWORD = (
    "{city}市で{day}日に火災があり、{job_a}の{name_a}さん({age_a})が救助された。",
    "{city}市で防犯教室があり、{count}人が参加した。",
    "{job_a}の{name_a}さん({age_a})が{day}日、{city}市で表彰された。",
    "{city}地裁は{offence}の罪に問われた{job_a}の{name_a}さん({age_a})に無罪判決を言い渡した。",
    "{city}地検は{offence}の疑いで調べていた{job_a}の{name_a}さん({age_a})を不起訴とした。",
    "昨年の{offence}の書類送検は{count}件だったと{agency}が{day}日に発表した。",
    "{city}市で{day}日に{offence}事件があり、{agency}が捜査している。",
    "{city}市は{day}日、{name_a}氏({age_a})を教育長に任命した。",
)
_PEOPLE = (
    "被害に遭った{job_v}の{name_v}さん({age_v})は軽いけがをした。",
    "{job_w}の{name_w}さん({age_w})は「驚いた」と話した。",
    "{agency}の{name_p}署長は「再発防止に努める」と述べた。",
    "{city}市の{name_o}市長は「安全なまちにしたい」と述べた。",
)
_ASIDES = (
    *_PEOPLE,
    "現場は{city}市の住宅街。",
    "{agency}は詳しい経緯を調べている。",
    "被害額は{count}万円に上る。",
)
# The shares of articles with a keyword; together they give the keyword rule a presence F1 near 0.73.
_KEYWORD_SHARE = {True: 0.75, False: 0.35}
_OFFENDER_COUNTS, _OFFENDER_WEIGHTS = (1, 2, 3), (75, 20, 5)
_ASIDE_COUNTS, _ASIDE_WEIGHTS = (0, 1, 2), (25, 50, 25)
_LEAD_FIRST_SHARE = 0.7


def full_names(split: Split) -> frozenset[str]:
    """Every name that the records of a split may contain, bystanders included; the two splits share no name."""
    return frozenset(
        surname + given for number, surname in enumerate(_SURNAMES) for given in _given_names(split, number)
    )


def _given_names(split: Split, surname_number: int) -> list[str]:
    """The given names that may follow a surname: each occurs in both splits, but with other surnames."""
    is_validation = split == "validation"
    return [
        given
        for number, given in enumerate(_GIVEN_NAMES)
        if ((surname_number + number) % _VALIDATION_SHARE == 0) == is_validation
    ]


_NAMES: dict[Split, tuple[str, ...]] = {
    "train": tuple(sorted(full_names("train"))),
    "validation": tuple(sorted(full_names("validation"))),
}


class _Scene(dict[str, str]):
    """The slots of one article, each drawn when a sentence first asks for it."""

    def __init__(self, rng: Random, split: Split) -> None:
        super().__init__()
        self._rng = rng
        self._split = split

    def __missing__(self, slot: str) -> str:
        kind = slot.partition("_")[0]
        value = self._name() if kind == "name" else self._draw(kind)
        self[slot] = value
        return value

    def _name(self) -> str:
        """A name that nobody in this article has yet."""
        taken = {value for slot, value in self.items() if slot.startswith("name")}
        while (name := self._rng.choice(_NAMES[self._split])) in taken:
            pass
        return name

    def _draw(self, kind: str) -> str:
        if kind in _CHOICES:
            return self._rng.choice(_CHOICES[kind])
        return str(self._rng.randint(*_NUMBERS[kind]))

    def tell(self, sentence: str) -> str:
        """The sentence with its slots filled in."""
        return sentence.format_map(self)


_CHOICES = {"city": _CITIES, "agency": _AGENCIES, "offence": _OFFENCES, "job": _OCCUPATIONS}
_NUMBERS = {"age": (18, 79), "day": (1, 28), "count": (2, 99)}


def records(count: int, *, seed: int, split: Split, offender: bool) -> Iterator[Record]:
    """Alpaca-style records, all with an offender or all without one; the same arguments give the same records."""
    rng = Random(f"{seed} {split} {offender}")
    for _ in range(count):
        scene = _Scene(rng, split)
        yield _with_offender(rng, scene) if offender else _without_offender(rng, scene)


def _with_offender(rng: Random, scene: _Scene) -> Record:
    has_keyword = rng.random() < _KEYWORD_SHARE[True]
    title, lead = rng.choice(_LEADS_WITH_KEYWORD if has_keyword else _LEADS_WITHOUT_KEYWORD)
    numbers = range(1, 1 + rng.choices(_OFFENDER_COUNTS, _OFFENDER_WEIGHTS)[0])
    scene["offenders"] = "と".join(
        scene.tell(f"{{job_{number}}}の{{name_{number}}}{title}({{age_{number}}})") for number in numbers
    )
    return _record(_article(rng, scene, lead), [_offender(scene, number) for number in numbers])


def _without_offender(rng: Random, scene: _Scene) -> Record:
    has_keyword = rng.random() < _KEYWORD_SHARE[False]
    lead = rng.choice(_NOBODY_WITH_KEYWORD if has_keyword else _NOBODY_WITHOUT_KEYWORD)
    return _record(_article(rng, scene, lead), [])


def _article(rng: Random, scene: _Scene, lead: str) -> str:
    """The lead with up to two asides, mostly before them. Every article names somebody, at least a bystander: so no article of
    the validation records, which have names of their own, can be in the training records."""
    asides = rng.sample(_ASIDES, rng.choices(_ASIDE_COUNTS, _ASIDE_WEIGHTS)[0])
    position = 0 if rng.random() < _LEAD_FIRST_SHARE else rng.randint(0, len(asides))
    told = "".join(map(scene.tell, [*asides[:position], lead, *asides[position:]]))
    return told if any(slot.startswith("name") for slot in scene) else told + scene.tell(rng.choice(_PEOPLE))


def _offender(scene: _Scene, number: int) -> dict[str, str | int]:
    """One entry of the answer, as in the article."""
    return {
        "name": scene[f"name_{number}"],
        "age": int(scene[f"age_{number}"]),
        "occupation": scene[f"job_{number}"],
        "offence": scene["offence"],
    }


def _record(article: str, offenders: list[dict[str, str | int]]) -> Record:
    output = json.dumps({"offenders": offenders}, ensure_ascii=False)
    return {"instruction": INSTRUCTION, "input": article, "output": output}


def write_synthetic(folder: Path, *, positives: int, negatives: int, validation: int, seed: int) -> dict[str, Path]:
    """Write the customer's three files as JSON arrays, each completely or not at all; return the paths by their stems."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "hawks_train": records(positives, seed=seed, split="train", offender=True),
        "person_dummy": records(negatives, seed=seed, split="train", offender=False),
        "hawks_val": _validation_records(validation, seed),
    }
    paths = {stem: folder / f"{stem}.json" for stem in contents}
    for stem, path in paths.items():
        _write_array(path, contents[stem])
    return paths


def _validation_records(count: int, seed: int) -> Iterator[Record]:
    """Records with and without an offender, in turn."""
    half = (count + 1) // 2
    kinds = [iter(records(half, seed=seed, split="validation", offender=offender)) for offender in (True, False)]
    return (next(kinds[number % 2]) for number in range(count))


def _write_array(path: Path, content: Iterable[Record]) -> None:
    """Write one record a line; an old file stays until the new one is complete."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        draft = Path(scratch, path.name)
        with draft.open("w", encoding="utf-8") as file:
            file.write("[")
            for number, record in enumerate(content):
                file.write(",\n" if number else "\n")
                json.dump(record, file, ensure_ascii=False)
            file.write("\n]\n")
        os.replace(draft, path)
