"""Fetch the third-party files that pages use, check them, and note where each came from.

Why this exists: pages load nothing from anybody else's server, so the files live here, with their licences and digests.
`npm pack` fetches (npm must be installed; users of Sambud never need it) and npm checks the package's sha512; we check
it once more. Run `python tools/vendor.py` after a change of PACKAGES, look at the difference, and commit it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).parent.parent / "adapters" / "http" / "static" / "vendor"
#: package, version, licence, and which of its files gets which name here
PACKAGES = (
    ("@digdir/designsystemet-css", "1.22.0", "MIT", {"dist/src/index.css": "designsystemet.css"}),
    ("@digdir/designsystemet-theme", "1.11.0", "MIT", {"src/themes/designsystemet.css": "designsystemet-theme.css"}),
    ("htmx.org", "4.0.1", "0BSD", {"dist/htmx.min.js": "htmx.min.js", "dist/ext/hx-sse.min.js": "hx-sse.min.js"}),
)


def fetch(package: str, version: str, into: Path) -> tarfile.TarFile:
    """The package, after its digest was compared with what npm says it must be."""
    command = ["npm", "pack", f"{package}@{version}", "--json", "--pack-destination", str(into)]
    [told] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    octets = (into / told["filename"]).read_bytes()
    if base64.b64encode(hashlib.sha512(octets).digest()).decode() != told["integrity"].removeprefix("sha512-"):
        raise SystemExit(f"{package} does not have the digest that npm names")
    return tarfile.open(into / told["filename"])


def main() -> None:
    listed = []
    for package, version, licence, files in PACKAGES:
        short = package.rpartition("/")[2]
        with tempfile.TemporaryDirectory() as scratch, fetch(package, version, Path(scratch)) as packed:
            for inside, name in {**files, "LICENSE": f"{short}.LICENSE"}.items():
                octets = packed.extractfile(f"package/{inside}").read()  # type: ignore[union-attr]
                (VENDOR / name).write_bytes(octets)
                line = {"file": name, "package": package, "version": version, "licence": licence}
                listed.append({**line, "sha256": hashlib.sha256(octets).hexdigest()})
    (VENDOR / "VENDOR.json").write_text(json.dumps(listed, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
