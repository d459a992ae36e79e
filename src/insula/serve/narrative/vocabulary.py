"""Which words a phrased text may hold beside those of its facts, and words by which a refusal is named.

The first two tables decide what passes: words that join and bend a sentence without saying anything, and other forms of
words of the templates. No negation, number, comparison, side, condition or command is among them. The rest decides
nothing: a word that stands there is refused because it stands in no fact, and the tables only say by which name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from insula.serve.narrative.catalogue import Language


def listed(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


# no `to`, `have` (they oblige), `so`, `as`, `then` (they give causes), `from`, `by` (they give bounds), `was`, `were`
FUNCTION: Final[Mapping[Language, frozenset[str]]] = {
    "en": listed("a an the this that these those it its is are of in at for with and which who while also there"),
    "tr": listed("ve ile bir bu şu o da de ise olarak olan ayrıca"),
}
SAME: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "accepted": "accept",
        "accepts": "accept",
        "agrees": "agreed",
        "contains": "holds",
        "includes": "holds",
        "probabilities": "probability",
        "referred": "refer",
        "refers": "refer",
        "rejected": "reject",
        "rejects": "reject",
        "scans": "scan",
        "warnings": "warning",
    },
    "tr": {
        "olasılığı": "olasılık",
        "olasılıkla": "olasılık",
        "sınıfı": "sınıf",
        "sınıfının": "sınıf",
        "sınıfıdır": "sınıf",
        "sınıfına": "sınıf",
        "yanıtı": "yanıt",
        "yanıtın": "yanıt",
        "değeri": "değer",
        "değerdir": "değer",
        "güveni": "güven",
    },
}

_EN: Final[Mapping[str, str]] = {
    "side": """
        left right bilateral bilaterally unilateral midline ipsilateral contralateral lateral medial sided
    """,
    "negation": """
        no not none never neither nor nothing nobody without cannot hardly barely except unless unlikely absent
        false negative denies excludes excluded ruled
    """,
    "number": """
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
        seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million
        half third quarter double twice once dozen first second i ii iii iv v vi vii
    """,
    "class": """
        stroke infarct infarction ischaemia ischemia ischaemic ischemic haemorrhage hemorrhage haematoma hematoma
        bleed bleeding tumour tumor mass lesion glioma meningioma metastasis metastatic malignant benign cancer
        oedema edema aneurysm fracture thrombus embolus clot hydrocephalus herniation abscess atrophy healthy normal
        abnormal disease brain cortex lobe frontal parietal temporal occipital cerebellum cerebellar brainstem
        thalamus ventricle basal ganglia insula artery vein epidural subdural subarachnoid intraventricular
        intraparenchymal stage grade survival prognosis diagnosis
    """,
}
_TR: Final[Mapping[str, str]] = {
    "side": """
        sol sağ solda sağda solunda sağında soldaki sağdaki iki taraflı yanlı çift tek orta hat
    """,
    "negation": """
        değil değildir yok yoktur hayır hiç hiçbir olmayan olmadan olmaksızın asla katılmadı saymıyor saymadı
        benzemiyor yanlış negatif dışlandı
    """,
    "number": """
        sıfır üç dört beş altı yedi sekiz dokuz on yirmi otuz kırk elli altmış yetmiş seksen doksan yüz bin yarım
        yarı çeyrek buçuk birinci ikinci üçüncü
    """,
    "class": """
        inme felç enfarkt iskemi kanama hematom tümör kitle lezyon kanser ödem anevrizma kırık metastaz malign huylu
        sağlıklı hastalık beyin lob pariyetal temporal oksipital beyincik damar evre derece sağkalım tanı
    """,
}
# Turkish texts are looked through for both, as models mix in English words
NAMED: Final[Mapping[Language, Mapping[str, frozenset[str]]]] = {
    "en": {rule: listed(words) for rule, words in _EN.items()},
    "tr": {rule: listed(f"{words} {_TR[rule]}") for rule, words in _EN.items()},
}
