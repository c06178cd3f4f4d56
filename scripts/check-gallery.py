#!/usr/bin/python3
"""The policy in src/tree/index.html allows one style and one script, by their hashes. Says so when a hash is not that
of what stands in the page, and then exits 1; `check-gallery.py --mend` writes the right ones into it."""
import base64
import hashlib
import pathlib
import re
import sys

page = pathlib.Path(__file__).parent.parent / 'src/tree/index.html'
text = page.read_text(encoding='utf-8')
mended = text
for tag in ('style', 'script'):
    content = re.search(f'<{tag}>(.*?)</{tag}>', text, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    mended = re.sub(f"{tag}-src 'sha256-[^']*'", lambda _: f"{tag}-src 'sha256-{digest}'", mended)
if mended == text:
    sys.exit(0)
if sys.argv[1:] == ['--mend']:
    page.write_text(mended, encoding='utf-8')
else:
    sys.exit(f'{page.name}: the policy does not allow its style or its script: run scripts/check-gallery.py --mend')
