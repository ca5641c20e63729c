"""English and the fourteen languages into which MMLU was translated: how each asks for a letter, and for a sum."""

from typing import NamedTuple

from surefoot.errors import InputError

__all__ = ["ENGLISH", "TONGUES", "Tongue", "tongue_of"]


class Tongue(NamedTuple):
    """code: as files of MMMLU have it. letter_alone: asks for nothing but a letter. sum: asks for one."""

    code: str
    name: str
    letter_alone: str
    sum: str


ENGLISH = Tongue("EN-US", "English", "Answer with the letter alone.", "How much is {first} + {second}?")
TONGUES = (
    ENGLISH,
    Tongue("AR-XY", "Arabic", "أجب بالحرف فقط.", "كم يساوي {first} + {second}؟"),
    Tongue("BN-BD", "Bengali", "শুধু অক্ষরটি দিয়ে উত্তর দিন।", "{first} + {second} কত?"),
    Tongue("ZH-CN", "Chinese", "只回答字母。", "{first} + {second} 等于多少？"),
    Tongue("FR-FR", "French", "Réponds par la lettre seule.", "Combien font {first} + {second} ?"),
    Tongue("DE-DE", "German", "Antworte nur mit dem Buchstaben.", "Wie viel ist {first} + {second}?"),
    Tongue("HI-IN", "Hindi", "केवल अक्षर से उत्तर दें।", "{first} + {second} कितना होता है?"),
    Tongue("ID-ID", "Indonesian", "Jawab hanya dengan hurufnya.", "Berapakah {first} + {second}?"),
    Tongue("IT-IT", "Italian", "Rispondi solo con la lettera.", "Quanto fa {first} + {second}?"),
    Tongue("JA-JP", "Japanese", "文字だけで答えてください。", "{first} + {second} はいくつですか？"),
    Tongue("KO-KR", "Korean", "글자만 답하세요.", "{first} + {second}는 얼마입니까?"),
    Tongue("PT-BR", "Portuguese", "Responda apenas com a letra.", "Quanto é {first} + {second}?"),
    Tongue("ES-LA", "Spanish", "Responde solo con la letra.", "¿Cuánto es {first} + {second}?"),
    Tongue("SW-KE", "Swahili", "Jibu kwa herufi tu.", "{first} + {second} ni ngapi?"),
    Tongue("YO-NG", "Yoruba", "Fi lẹ́tà nìkan dáhùn.", "Kí ni {first} + {second}?"),
)


def tongue_of(code: str) -> Tongue:
    """A language by the code that files of MMMLU have in their names; raises `InputError` for another one.

    >>> tongue_of("DE-DE").name
    'German'
    """
    found = next((each for each in TONGUES if each.code == code), None)
    if found is None:
        raise InputError(f"There is no language {code!r}; there are {', '.join(each.code for each in TONGUES)}.")
    return found
