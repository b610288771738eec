"""The real documents that the embedded checkpoint learned from and is measured on, out of clones of their repositories.

    python -m recipes.documents CLONES OUT
    lamina data harvest OUT/train -o SHARDS/train --refuse PICTURES
    lamina data harvest OUT/validation -o SHARDS/validation --refuse PICTURES
    lamina data harvest OUT/test -o SHARDS/test --refuse PICTURES

recipes/documents.jsonl lists repository, commit, path, licence and SHA-256 of every file, and of some from which
nothing has learned yet (`spare`); CLONES holds each repository as OWNER+NAME (a work tree or a bare one). XCF files
become PSD by Debian's GIMP 2.10. What is missing, or is another file than was learned from, is named and left out. None
of the documents is part of this repository.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["gather"]

_LIST = Path(__file__).with_suffix(".jsonl")

_AS_PSD = """
(let* ((image (car (gimp-file-load RUN-NONINTERACTIVE "{here}" "{here}"))))
  (if (not (= (car (gimp-image-base-type image)) RGB)) (gimp-image-convert-rgb image))
  (if (not (= (car (gimp-image-get-precision image)) PRECISION-U8-GAMMA))
      (gimp-image-convert-precision image PRECISION-U8-GAMMA))
  (file-psd-save RUN-NONINTERACTIVE image (car (gimp-image-get-active-drawable image)) "{there}" "{there}" 1 0)
  (gimp-image-delete image))
"""


def gather(clones: Path, out: Path) -> list[str]:
    """Write the listed files of all splits under `out`; return what could not be had, in words."""
    missing: list[str] = []
    for line in _LIST.read_text("utf-8").splitlines():
        entry = json.loads(line)
        clone = clones / entry["repo"].replace("/", "+")
        where = f"{entry['repo']} {entry['path']}"
        shown = subprocess.run(
            ["git", "-C", str(clone), "show", f"{entry['commit']}:{entry['path']}"], capture_output=True, check=False
        )
        if shown.returncode != 0:
            missing.append(f"{where}: {shown.stderr.decode(errors='replace').strip()}")
        elif hashlib.sha256(shown.stdout).hexdigest() != entry["sha256"]:
            missing.append(f"{where}: another file than was learned from")
        else:
            name = f"{entry['sha256'][:12]}{Path(entry['path']).suffix.lower()}"
            file = out / entry["split"] / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(shown.stdout)
            if file.suffix == ".xcf" and not _converted(file):
                missing.append(f"{where}: GIMP made no PSD of it")
    return missing


def _converted(file: Path) -> bool:
    """Put a PSD in the place of an XCF file."""
    psd = file.with_suffix(".psd").resolve()
    script = _AS_PSD.format(here=file.resolve(), there=psd)
    words = ["gimp", "-i", "-d", "-f", "-b", script, "-b", "(gimp-quit 1)"]
    subprocess.run(words, check=False, capture_output=True, timeout=120)
    file.unlink()
    return psd.exists()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    if not shutil.which("gimp"):
        parser.error("GIMP is not installed; it makes PSD files of XCF files")
    absent = gather(given.clones, given.out)
    print(*absent, sep="\n", file=sys.stderr)
    sys.exit(1 if absent else 0)
