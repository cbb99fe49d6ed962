"""Secrets: what is one, by its structure, and how a text is shown without it.

A secret is known by its place: the user part of a URI, the value of a key, of an assignment or of an option whose name says so;
or by its own form, for services whose tokens have one.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

MASK = "***"
_NAME = re.compile(
    r"(?:^|[_\-.])(?:pass(?:word|wd|phrase)?|pwd|pw|secrets?|credentials?|signature|api_?key|apikey|access_?key|secret_?key|"
    r"private_?key|auth|authorization|bearer|jwt|(?:api|auth|hub|hf|access|refresh|session|id|personal|deploy|bot|git(?:hub|lab)?|"
    r"wandb|comet|mlflow|slack|huggingface|tracking)_?token|tokens?_?secret)$|^token$",
    re.IGNORECASE,
)
"""Names of secrets. `pad_token`, `max_new_tokens`, `tokenizer` and `lora_target_key` are none."""
_VARIABLE = re.compile(
    r"(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|(?:API|ACCESS|SECRET|PRIVATE)_?KEY|JWT)$"
)
"""Ends of names of environment variables."""
_TOKENS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abpr]-[\w-]{10,}|"
    r"sk-[A-Za-z0-9_-]{20,}|(?:AKIA|ASIA)[A-Z0-9]{16}|eyJ[\w-]{8,999}\.[\w-]{8,999}\.[\w-]{4,})"
)
"""Tokens of Hugging Face, GitHub, GitLab, Slack, OpenAI, AWS, and JSON web tokens."""
_USER_OF_URI = re.compile(r"((?:https?://|://(?=[^/\s@'\"<>]{0,200}:)))[^/\s@'\"<>]{1,500}(?=@)")
"""A user with a password; for the web, any user: it may be a token. `abfs://container@account` has none."""
_QUERY = re.compile(r"(?<=[?&])([\w.-]+)=([^&\s#\"'<>]+)")
_ASSIGNMENT = re.compile(
    r"""(?<![\w$])([A-Za-z_][\w.-]{0,63})["']?\s{0,8}[=:]\s{0,8}("[^"\n]+"|'[^'\n]+'|[^\s"',;&)}\]/][^\s"',;&)}\]]*)"""
)
_NO_SECRETS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "none", "~", MASK})
_OPTION = re.compile(r"""(?<!\S)--?([A-Za-z][\w-]{0,63})\s{1,8}("[^"\n]+"|'[^'\n]+'|[^\s"'-][^\s"']*)""")
_UNCLEAR = frozenset({"token", "auth", "pass", "pw", "pwd", "signature", "bearer"})
"""Names that stand in texts for other things too; a secret under such a name is not short."""
SHORTEST = 6
_PRIVATE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_HEADER = re.compile(r"(?i)\b(authorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic|token)\s+)[\w.~+/=-]{4,}")
_IN_QUERIES = ("password", "passwd", "pwd", "token", "secret", "key", "auth", "credential", "signature", "sig")
"""Parts of names in the query of a URI whose values are secret."""


def is_secret_name(name: str) -> bool:
    """Whether the value of a key, option or variable with this name is a secret."""
    return bool(_NAME.search(name.replace("-", "_")) or (name.isupper() and _VARIABLE.search(name)))


def is_secret_uri(uri: str) -> bool:
    """Whether a URI has a password, a user, or a query with a secret."""
    try:
        parts = urlsplit(uri)
        has_user = parts.username is not None or parts.password is not None
    except ValueError:  # no URI at all: the check of the tracking server says so
        return "@" in uri
    return has_user or any(_is_secret_in_query(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True))


def _is_secret_in_query(name: str) -> bool:
    return any(word in name.lower() for word in _IN_QUERIES)


def masked(text: str) -> str:
    """The text with `***` in place of each secret."""
    text = _masked_by_form(text)
    text = _OPTION.sub(lambda found: _without(found[0], found[1], found[2]), text)
    return _ASSIGNMENT.sub(lambda found: _without(found[0], found[1], found[2]), text)


def _masked_by_form(text: str) -> str:
    text = _TOKENS.sub(MASK, _USER_OF_URI.sub(rf"\1{MASK}", text))
    text = _QUERY.sub(lambda found: f"{found[1]}={MASK}" if _is_secret_in_query(found[1]) else found[0], text)
    return _HEADER.sub(lambda found: f"{found[1]}{MASK}", text)


def _without(whole: str, name: str, value: str) -> str:
    plain = value.strip("\"'")
    is_literal = not plain.startswith("$") and plain.lower() not in _NO_SECRETS  # a variable's name says nothing
    is_clear = len(plain) >= SHORTEST or name.lower() not in _UNCLEAR
    is_folder = name.lower() in ("pwd", "pw") and plain.startswith(("/", ".", "~"))  # `apptainer exec --pwd /work`
    is_secret = is_literal and is_clear and not is_folder and is_secret_name(name)
    return whole.removesuffix(value) + value.replace(plain, MASK) if is_secret else whole


def masked_content(content: object) -> Any:
    """Nested mappings and lists without their secrets."""
    match content:
        case str():
            return masked(content)
        case Mapping():
            return {key: MASK if _is_secret(key, value) else masked_content(value) for key, value in content.items()}
        case list() | tuple():
            return [masked_content(value) for value in content]
        case _:
            return content


def secrets_in(content: object, has_shell: bool = False, place: str = "") -> Iterator[str]:
    """The places of secrets in a config: dotted keys.

    A reference to a variable (`$HF_TOKEN`) is none, and neither is a switch (`hf_use_auth_token: true`).

    Args:
        has_shell: the texts are parts of commands, so their assignments and options count. Other texts may be prompts.
    """
    match content:
        case Mapping():
            for key, value in content.items():
                here = f"{place}.{key}" if place else str(key)
                yield from [here] if _is_secret(key, value) else secrets_in(value, has_shell, here)
        case list() | tuple():
            for index, value in enumerate(content):
                yield from secrets_in(value, has_shell, f"{place}.{index}")
        case str():
            shown = masked(content) if has_shell else _masked_by_form(content)
            if shown != content or _PRIVATE.search(content):
                yield place


def _is_secret(key: object, value: object) -> bool:
    is_literal = (
        isinstance(value, str) and bool(value) and not value.startswith("$") and value.lower() not in _NO_SECRETS
    )
    return is_literal and is_secret_name(str(key).rpartition(".")[2])
