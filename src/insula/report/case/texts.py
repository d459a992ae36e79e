"""The words of the case report, in English and Turkish: one small catalogue.

Numbers keep the decimal point in both languages, so that a figure reads as it stands in the record. Texts of the record
itself (reasons, warnings, class names, notes) are shown as they are.
"""

from __future__ import annotations

from typing import Final, get_args

from insula.core.errors import UsageError
from insula.evaluate.outcome import LIMITS
from insula.infer.heatmap import FAINT, NO_HEAT, NO_PROOF, NOT_PRESENT
from insula.report import words
from insula.report.case.record import Language

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "title": ("Case report", "Olgu raporu"),
    "limits": (LIMITS, "Yalnızca araştırma içindir; tıbbi cihaz değildir."),
    "report": ("Report", "Rapor no"),
    "made": ("Made", "Oluşturulma"),
    "draft": ("Preliminary: no reader has signed it yet", "Ön rapor: henüz bir hekim imzalamadı"),
    "final": ("Read and signed", "Okundu ve imzalandı"),
    "undecided": ("Preliminary: its reader cannot tell", "Ön rapor: okuyan hekim karar veremedi"),
    "patient": ("Patient", "Hasta"),
    "no_name": ("(no name given)", "(ad verilmedi)"),
    "patient_id": ("Patient ID", "Hasta no"),
    "subject": ("Pseudonym", "Takma kimlik"),
    "study": ("Study", "Tetkik"),
    "study_date": ("Study date", "Tetkik tarihi"),
    "scan": ("Scan", "Görüntü"),
    "scans": ("Scans", "Görüntüler"),
    "modality": ("Modality", "Modalite"),
    "slices": ("Slices or tiles", "Kesit veya karo"),
    "spacing": ("Voxel, mm", "Voksel, mm"),
    "units": ("Units", "Birim"),
    "warnings": ("Warnings", "Uyarılar"),
    "unknown": ("unknown", "bilinmiyor"),
    "none": ("none", "yok"),
    "question": ("Question", "Soru"),
    "answer": ("Answer", "Yanıt"),
    "not_shared": ("The model's answer, which its reader does not share", "Modelin, hekimin katılmadığı yanıtı"),
    "confidence": ("Confidence", "Güven"),
    "accept": ("The policy accepts this answer.", "Politika bu yanıtı kabul ediyor."),
    "refer": ("Referred: a person has to look at this case.", "Sevk: bu olguya bir uzman bakmalıdır."),
    "reject": ("Rejected: there is no answer for this scan.", "Reddedildi: bu görüntü için yanıt yok."),
    "reject_means": (
        "The scan is none that the model can answer for: no class, no probability, no set and no map are shown.",
        "Model bu görüntü için yanıt veremez: sınıf, olasılık, küme ve harita gösterilmez.",
    ),
    "reasons": ("Reasons", "Gerekçeler"),
    "class": ("Class", "Sınıf"),
    "probability": ("Probability", "Olasılık"),
    "spread": ("Spread (SD)", "Yayılım (SS)"),
    "threshold": ("Threshold", "Eşik"),
    "in_set": ("In the set", "Kümede"),
    "yes": ("yes", "evet"),
    "no": ("no", "hayır"),
    "dropout": ("dropout passes", "dropout geçişleri"),
    "views": ("views of the scan", "görüntünün görünümleri"),
    "members": ("members of the ensemble", "topluluğun üyeleri"),
    "spread_is": ("Spread: standard deviation over {source}.", "Yayılım: standart sapma ({source})."),
    "threshold_is": (
        "The upright mark is the threshold, from which a class counts as present.",
        "Dikey işaret eşiktir; sınıf bu değerden itibaren var sayılır.",
    ),
    "set": ("Prediction set", "Tahmin kümesi"),
    "set_level": (
        "made to hold the true class in {level} of cases like those it was validated on",
        "doğrulama olgularına benzer olguların {level} kadarında gerçek sınıfı içermek üzere kuruldu",
    ),
    "domain": ("Distance from the training data", "Eğitim verisine uzaklık"),
    "domain_is": (
        "0 is typical, 1 beyond every validation case",
        "0 tipik, 1 bütün doğrulama olgularından uzak",
    ),
    "pictures": ("Pictures", "Görüntü ve harita"),
    "map": ("With map", "Haritayla"),
    "right": ("R", "R"),
    "left": ("L", "L"),
    "sides": (
        "R and L: the patient's right and left; the patient's right is on the left of the picture.",
        "R ve L: hastanın sağı ve solu; hastanın sağı resmin solundadır.",
    ),
    "no_sides": (
        "Pictures without R and L come from scans that do not say which side is which.",
        "R ve L bulunmayan resimlerde görüntü hangi tarafın hangisi olduğunu söylemez.",
    ),
    "slice": ("slice {n} of {of}", "kesit {n} / {of}"),
    "tile": ("tile {n} of {of}", "karo {n} / {of}"),
    "evidence": ("evidence for “{name}”", "“{name}” lehine kanıt"),
    "not_present": (NOT_PRESENT, "; model bunu var saymıyor"),
    "top": ("brightest colour: {top} {unit}", "en parlak renk: {top} {unit}"),
    "score per cell": ("score per cell", "hücre başına skor"),
    "scan_alt": ("{role}, {where}, without map", "{role}, {where}, haritasız"),
    "map_alt": (
        "{role}, {where}, with the map of the evidence for “{name}” over it",
        "{role}, {where}, üzerinde “{name}” lehine kanıt haritası",
    ),
    "bar_says": ("{name}: {p} of 1 as a bar", "{name}: 1 üzerinden {p}, çubuk olarak"),
    "bar_alt": ("Colour bar from 0 below to {top} above", "Renk çubuğu: altta 0, üstte {top}"),
    "no_heat": (NO_HEAT, "Bu kesitte 0 üzerinde ısı yok: görüntü olduğu gibi gösterilir."),
    "faint": (FAINT, "Bu kesitteki ısı çubuğun tepesinin %15'inin altında ve güçlükle görülür."),
    "no_proof": (
        NO_PROOF,
        "Harita skorun nereden geldiğini söyler: lezyonun yanında olan bir harita yanıta güvenmemek için nedendir, "
        "üzerinde olan ise kanıt değildir.",
    ),
    "meaning": ("What the answer means where the finding is as rare as stated", "Bulgu bu sıklıkta ise yanıtın anlamı"),
    "prevalence": ("Prevalence", "Yaygınlık"),
    "ppv": ("A positive answer is right (PPV)", "Pozitif yanıt doğrudur (PPD)"),
    "npv": ("A negative answer is right (NPV)", "Negatif yanıt doğrudur (NPD)"),
    "alerts": ("Alerts in 1,000 patients", "1000 hastada uyarı"),
    "to": ("{low} to {high}", "{low} – {high}"),
    "percent": ("{}%", "%{}"),
    "positive_own": (
        "This answer is positive for “{name}”: PPV applies.", "Bu yanıt “{name}” için pozitiftir: PPD geçerlidir."
    ),
    "negative_own": (
        "This answer is negative for “{name}”: NPV applies.", "Bu yanıt “{name}” için negatiftir: NPD geçerlidir."
    ),
    "meaning_from": (
        "From the model's sensitivity and specificity by Bayes' rule, with 95% intervals.",
        "Modelin duyarlılık ve özgüllüğünden Bayes kuralıyla, %95 aralıklarla.",
    ),
    "further": ("Further answers", "Diğer yanıtlar"),
    "target": ("Target", "Hedef"),
    "value": ("Value", "Değer"),
    "most_probable": ("most probable: {name}", "en olası: {name}"),
    "log_hazard": ("log relative hazard", "log göreli tehlike"),
    "event_free": ("free of “{event}” at {days} days", "{days}. günde “{event}” olmadan"),
    "an_event": ("the event", "olay"),
    "summary": ("Summary", "Özet"),
    "template": ("Filled in from a template.", "Şablondan dolduruldu."),
    "model": (
        "Phrased by a language model from the facts of this report.", "Bu raporun verilerinden bir dil modeli yazdı."
    ),
    "notes": ("Notes", "Notlar"),
    "review": ("Review", "Değerlendirme"),
    "verdict": ("Verdict", "Karar"),
    "agree": ("agrees", "katılıyor"),
    "override": ("decides otherwise", "başka karar veriyor"),
    "cannot_tell": ("cannot tell", "karar veremiyor"),
    "reader_label": ("Reader's class", "Hekimin sınıfı"),
    "comment": ("Comment", "Açıklama"),
    "signed_by": ("Signed by", "İmzalayan"),
    "signed_at": ("Signed", "İmza zamanı"),
    "reader": ("Reader", "Okuyan hekim"),
    "date": ("Date", "Tarih"),
    "signature": ("Signature", "İmza"),
    "model_title": ("Model", "Model"),
    "name": ("Name", "Ad"),
    "bundle": ("Bundle", "Paket"),
    "encoder": ("Encoder", "Kodlayıcı"),
    "version": ("Insula", "Insula"),
    "figure": ("Figure", "Ölçüt"),
    "interval": ("95% interval", "%95 aralık"),
    "basis": ("On", "Dayanak"),
    "basis_share": ("{events} of {n} patients", "{n} hastadan {events}"),
    "basis_rows": ("{n} patients, {events} positive", "{n} hasta, {events} pozitif"),
    "no_figures": (
        "No evaluation of this model is at hand, so there are no figures.",
        "Bu modelin bir değerlendirmesi elde yok; bu yüzden ölçüt verilmiyor.",
    ),
    "no_interval": ("no interval", "aralık yok"),
    "measured_on": ("Measured on {on}.", "Ölçüldüğü olgular: {on}."),
    "limits_title": ("Limits", "Sınırlar"),
    "limits_say": (
        "The answer is a model's estimate on scans like those it was validated on, to be looked at by a qualified "
        "person; it is no diagnosis. Its probabilities hold at the prevalence of the cases it was validated on.",
        "Yanıt, modelin doğrulandığı görüntülere benzer görüntüler için bir tahmindir ve yetkili bir kişi tarafından "
        "değerlendirilmelidir; tanı değildir. Olasılıklar doğrulama olgularının yaygınlığında geçerlidir.",
    ),
}  # fmt: skip

_FIGURES_TR: Final = {
    "accuracy": "Doğruluk",
    "balanced_accuracy": "Dengeli doğruluk",
    "sensitivity": "Duyarlılık",
    "specificity": "Özgüllük",
    "ppv": "PPD (bu kohortta)",
    "npv": "NPD (bu kohortta)",
    "pr_auc": "PR-AUC (ortalama kesinlik)",
    "brier": "Brier skoru",
    "ece": "Kalibrasyon hatası (ECE)",
    "kappa": "Cohen kappası",
    "c_index": "C indeksi (uyum)",
    "mae": "Ortalama mutlak hata",
}
_REASONS_TR: Final = {
    "confidence": "Güven sınırın altında",
    "risk": "Güven, riskin sınırlandığı değerin altında",
    "risk_unbounded": "Risk sınırlandırılamadı",
    "spread": "Yayılım sınırın üzerinde",
    "entropy": "Entropi sınırın üzerinde",
    "mutual_information": "Karşılıklı bilgi sınırın üzerinde",
    "domain": "Eğitim görüntülerine benzemiyor",
    "distance": "Eğitim görüntülerinden çok uzak",
    "colour": "Renkli resim",
    "size": "Çok az piksel",
    "aspect": "Çok uzun veya çok geniş",
    "body_part": "Vücudun başka bir bölgesi",
    "blank": "Boş",
    "saturated": "Siyah beyaz",
    "unsuitable_scan": "Tarifin aldığı bir görüntü değil",
    "unreadable_scan": "Okunabilir bir görüntü değil",
    "limit_exceeded": "İzin verilenden büyük veya yavaş",
}


def texts(language: str) -> dict[str, str]:
    """All texts of one language by their key; UsageError for a language that the report does not speak."""
    if language not in LANGUAGES:
        raise UsageError(f"The report does not speak '{language}'; choose one of: {', '.join(LANGUAGES)}.")
    at = 1 if language == "tr" else 0
    return {key: both[at] for key, both in _TEXTS.items()}


def figure(key: str, language: Language) -> str:
    """What a figure is called."""
    return _FIGURES_TR.get(key, words.name(key)) if language == "tr" else words.name(key)


def reason(kind: str, language: Language) -> str:
    """What a kind of reason for a referral or rejection is called."""
    return _REASONS_TR.get(kind, words.reason(kind)) if language == "tr" else words.reason(kind)
