"""Words in which people ask about a case: those that say nothing, and those that mean a kind of sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from insula.serve.narrative.catalogue import Language
from insula.serve.narrative.vocabulary import listed

# words of a question that neither find a sentence nor keep one from being found
ASIDE: Final[Mapping[Language, frozenset[str]]] = {
    "en": listed(
        """
        a an the this that these those it its is are was were be been has have had do does did done of in on at to
        for from by with and or as what which who whom whose when how there here can could would will may i me my we
        us our you your please tell show list give given say says said about case patient many much any some also
        record no not
        """
    ),
    "tr": listed(
        """
        ve ile veya ya bir bu şu o da de ki mi mı mu mü midir mıdır mudur müdür ise için olarak olan göre ne nedir
        kim hangi hangisi kaç kaçtır nasıl var lütfen söyle göster anlat ver hakkında olgu olgunun hasta hastanın
        kayıt kayıtta değil yok
        """
    ),
}
# beginnings of the keys of `catalogue.SENTENCES` that a word asks for
_EN: Final[Mapping[str, str]] = {
    "why": "reason",
    "reason": "reason",
    "decision decide decided accept accepted refer referred referral reject rejected policy": "decision",
    "answer result class label predict predicted prediction finding outcome": "answer",
    "confident confidence sure certain certainty": "confidence",
    "probability probable likely chance": "probability head.probability head.survival",
    "threshold": "reaches",
    "spread uncertainty uncertain variation": "spread",
    "draw pass": "draws spread",
    "conformal": "set",
    "typical similar unlike distance domain far": "domain",
    "slice image frame": "slices",
    "map heat hottest highlighted where": "hottest",
    "modality input": "slices",
    "side laterality": "side",
    "survival survive event prognosis": "head.survival head.hazard",
    "hazard": "head.hazard",
    "review reviewer reviewed agree agreed disagree disagreed": "review",
    "warning problem caution": "warning",
    "network version": "model",
    "question asked": "question",
    "diagnosis diagnose medical device limitation": "limits",
}
_TR: Final[Mapping[str, str]] = {
    "neden niçin niye": "reason",
    "karar kabul yönlendirildi reddedildi": "decision",
    "yanıt cevap sonuç sınıf etiket tahmin": "answer",
    "güven güvenilir emin": "confidence",
    "olasılık ihtimal": "probability head.probability head.survival",
    "eşik": "reaches",
    "yayılım belirsizlik": "spread",
    "örnek": "draws spread",
    "küme": "set",
    "benzer uzak": "domain",
    "kesit görüntü girdi": "slices",
    "harita nerede": "hottest",
    "taraf yan": "side",
    "sağkalım olaysız": "head.survival head.hazard",
    "tehlike": "head.hazard",
    "değerlendirici değerlendirme": "review",
    "uyarı sorun": "warning",
    "sürüm ağ": "model",
    "soru": "question",
    "tanı teşhis": "limits",
}


def _by_word(table: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    return {word: tuple(keys.split()) for words, keys in table.items() for word in words.split()}


TOPICS: Final[Mapping[Language, Mapping[str, tuple[str, ...]]]] = {"en": _by_word(_EN), "tr": _by_word(_TR)}
# words that may be sent to a model in a question, but find nothing by themselves
OPEN: Final[Mapping[Language, frozenset[str]]] = {
    "en": listed(
        """
        trust believe rely reliable good bad high low strong weak important main mean explain summary need person
        human look check next different other second most least best worst figure number value percent change
        """
    ),
    "tr": listed(
        """
        inan güçlü zayıf yüksek düşük önemli açıkla özet gerek kişi insan bak kontrol farklı diğer ikinci en iyi
        kötü sayı yüzde değişim
        """
    ),
}


def stem(word: str, language: Language) -> str:
    """What the forms of a word share: the English plural taken off (Harman 1991), or five letters of a Turkish word.

    Five letters do for Turkish as well as a morphological analysis in retrieval (Can et al. 2008).
    """
    if language == "tr":
        return word[:5]
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    return word[:-1] if word.endswith("s") and not word.endswith(("us", "ss")) else word
