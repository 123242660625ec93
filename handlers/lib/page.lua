-- What the pages of handlers/ share: one look for light and dark, security fields, plain answers for programs.
local httpd = require 'httpd'

local page = {}

local STYLE = [[
:root {
    color-scheme: light dark;
    --paper: #f6f7fb; --sheet: #ffffff; --ink: #171a2b; --soft: #5b6178; --line: #e1e4ef; --code: #eff1f8;
    --brand: #3d46d6; --brand-ink: #ffffff; --glow: #7a5cff; --good: #14795a; --bad: #b3261e;
    --shadow: 0 1px 2px rgb(23 26 43 / .05), 0 8px 28px rgb(23 26 43 / .07);
}
@media (prefers-color-scheme: dark) {
    :root {
        --paper: #0e1020; --sheet: #171a2e; --ink: #eceefb; --soft: #a2a8c6; --line: #292d49; --code: #0f1225;
        --brand: #98a0ff; --brand-ink: #0e1020; --glow: #5a3fd0; --good: #5fd3a7; --bad: #ff9a91;
        --shadow: 0 1px 2px rgb(0 0 0 / .3), 0 8px 28px rgb(0 0 0 / .35);
    }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
    margin: 0; background: var(--paper); color: var(--ink);
    font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
    -webkit-text-size-adjust: 100%;
}
a { color: var(--brand); text-underline-offset: .18em; }
:focus-visible { outline: 3px solid var(--brand); outline-offset: 3px; border-radius: .3rem; }
code, pre, kbd, .mono { font-family: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, monospace; font-size: .86em; }
pre {
    margin: .9rem 0 0; padding: .75rem .9rem; overflow-x: auto; overflow-wrap: anywhere; line-height: 1.55;
    background: var(--code); border: 1px solid var(--line); border-radius: .6rem;
    white-space: pre-wrap;
}
h1, h2, h3 { line-height: 1.2; letter-spacing: -.015em; margin: 0; text-wrap: balance; }
.wrap { max-width: 64rem; margin: 0 auto; padding: 0 1.25rem; }
.hero { background: linear-gradient(125deg, #1b1f6b, #3d46d6 55%, #7a5cff); color: #fff; padding: 3.2rem 0 5.2rem; }
.hero .wrap { display: grid; grid-template-columns: auto 1fr; gap: 1.5rem; align-items: center; }
.hero svg { width: 5.4rem; height: 5.4rem; display: block; }
.hero h1 { font-size: clamp(2.1rem, 6vw, 3.1rem); }
.hero p { margin: .35rem 0 0; font-size: 1.12rem; color: #dfe2ff; max-width: 40rem; text-wrap: pretty; }
.facts { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; margin: 0; list-style: none; }
.facts li {
    padding: .22rem .75rem; border-radius: 99rem; font-size: .86rem;
    background: rgb(255 255 255 / .14); border: 1px solid rgb(255 255 255 / .24);
}
.facts b { font-weight: 600; }
.cards { display: grid; gap: 1.1rem; grid-template-columns: repeat(auto-fit, minmax(min(18.5rem, 100%), 1fr)); margin-top: -3rem; }
.card, .sheet {
    background: var(--sheet); border: 1px solid var(--line); border-radius: 1rem; padding: 1.35rem;
    box-shadow: var(--shadow);
}
.card { display: flex; flex-direction: column; position: relative; transition: transform .15s, border-color .15s; }
.card:hover { transform: translateY(-2px); border-color: var(--brand); }
.cards.after { margin-top: .9rem; }
.card h2, .card h3 { font-size: 1.14rem; }
.card h2 a, .card h3 a { text-decoration: none; }
.card h2 a::after, .card h3 a::after { content: ""; position: absolute; inset: 0; border-radius: 1rem; }
.card h2 a::before, .card h3 a::before { content: attr(data-sign); margin-right: .55rem; color: var(--soft); font-weight: 400; }
.card p { margin: .5rem 0 0; color: var(--soft); font-size: .95rem; flex: 1; }
.card pre { position: relative; z-index: 1; }
.sheet { margin-top: 1.1rem; }
.sheet > h2 { font-size: 1.2rem; margin-bottom: .4rem; }
.sheet p { margin: .5rem 0 0; }
.two { display: grid; gap: 0 1.4rem; grid-template-columns: minmax(0, 1.3fr) minmax(0, 1fr); }
.top { padding: 1.5rem 0 .3rem; }
.top a { text-decoration: none; font-weight: 600; }
.top h1 { font-size: clamp(1.7rem, 5vw, 2.3rem); margin-top: .6rem; }
.top p { margin: .4rem 0 0; color: var(--soft); max-width: 44rem; text-wrap: pretty; }
.soft { color: var(--soft); }
footer, footer.wrap { padding-top: 1.6rem; padding-bottom: 2.6rem; color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: left; padding: .5rem .9rem .5rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; font-size: .84rem; }
td.mono { overflow-wrap: anywhere; }
td.name { overflow-wrap: normal; white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
.button {
    display: inline-block; padding: .55rem 1.15rem; border: 0; border-radius: .6rem; cursor: pointer; font: inherit;
    font-weight: 600; background: var(--brand); color: var(--brand-ink); text-decoration: none;
}
.big { font-size: clamp(2.6rem, 13vw, 5rem); font-weight: 700; letter-spacing: -.03em; line-height: 1.1; font-variant-numeric: tabular-nums; }
.drop {
    display: block; padding: 2.6rem 1rem; text-align: center; border: 2px dashed var(--line); border-radius: 1rem;
    cursor: pointer; transition: border-color .15s, background .15s;
}
.drop:hover, .drop.over, .drop:focus-within { border-color: var(--brand); background: var(--code); }
.drop b { display: block; font-size: 1.15rem; }
.drop input { position: absolute; opacity: 0; width: 1px; height: 1px; }
.jobs { list-style: none; margin: 0; padding: 0; }
.jobs li { padding: .8rem 0 .2rem; overflow-wrap: anywhere; }
.jobs progress { width: 100%; height: .55rem; accent-color: var(--brand); display: block; margin: .3rem 0; }
.files { list-style: none; margin: 0; padding: 0; }
.files li { padding: .65rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
.files li:last-child { border-bottom: 0; }
.files a { font-weight: 600; margin-right: .5rem; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.sheet p.notice { margin: 0 0 1rem; padding: .6rem .9rem; border: 1px solid; border-left-width: .4rem; border-radius: .6rem; overflow-wrap: anywhere; }
.field { display: block; margin-top: .9rem; font-weight: 600; }
.field input {
    display: block; width: 100%; max-width: 30rem; margin-top: .3rem; padding: .5rem .7rem; border: 1px solid var(--soft); border-radius: .6rem;
    background: var(--paper); color: inherit; font: inherit; font-weight: 400;
}
.rows { list-style: none; margin: .6rem 0 0; padding: 0; }
.rows li { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; padding: .55rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
.rows li:last-child { border-bottom: 0; }
.grow { flex: 1 1 8rem; }
.done { color: var(--soft); text-decoration: line-through; }
.small { padding: .3rem .75rem; border: 1px solid var(--soft); border-radius: .5rem; background: none; color: inherit; font: inherit; font-size: .88rem; cursor: pointer; }
.buttons { display: flex; flex-wrap: wrap; gap: .6rem; }
form > .field:first-child { margin-top: 0; }
.log { max-height: 22rem; overflow-y: auto; }
.tiles { display: grid; gap: .5rem 1rem; grid-template-columns: repeat(auto-fit, minmax(5rem, 1fr)); }
.tiles .big { font-size: clamp(1.8rem, 8vw, 3.4rem); }
.chart { display: block; width: 100%; height: 5rem; margin-top: .6rem; fill: var(--brand); border-bottom: 1px solid var(--line); }
.group { margin: 2.2rem 0 0; font-size: 1.35rem; }
@media (max-width: 48rem) { .two { grid-template-columns: minmax(0, 1fr); gap: 1.4rem; } }
@media (max-width: 30rem) {
    .pairs td { display: block; padding-right: 0; }
    .pairs td.name { border-bottom: 0; padding-bottom: 0; color: var(--soft); }
    .hero { padding: 2.2rem 0 4.6rem; }
    .hero .wrap { grid-template-columns: 1fr; gap: 1rem; }
    .hero svg { width: 4rem; height: 4rem; }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
]]

-- A moon ("lua" in Portuguese) between brackets as Lua writes them.
page.logo = [[
<svg viewBox="0 0 96 96" aria-hidden="true">
<path d="M22 12H8v72h14M74 12h14v72H74" fill="none" stroke="#c9ccff" stroke-width="8" stroke-linecap="round" stroke-linejoin="round"/>
<path d="M66 60A24 24 0 1 1 45 24.500a19 19 0 0 0 21 35.500z" fill="#fff"/>
</svg>]]

local ICON = "data:image/svg+xml;base64," .. httpd.encode("base64",
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96"><rect width="96" height="96" rx="22" fill="#3d46d6"/>'
    .. '<path d="M72 62A28 28 0 1 1 45 18.500a22 22 0 0 0 27 43.500z" fill="#fff"/></svg>')

-- What a content security policy needs to let exactly this text in.
local function source_hash(text)
    return "'sha256-" .. httpd.encode("base64", httpd.crypto.hash("sha256", text)) .. "'"
end

local STYLE_HASH = source_hash(STYLE)

-- Text as it may stand in HTML, between tags or between quotes.
function page.escape(text)
    return httpd.encode("html", tostring(text))
end

-- True when the one who asks is a browser (or says that it wants HTML).
function page.wants_html(header)
    return (header.accept or ""):find("text/html", 1, true) ~= nil
end

-- The path of a script's handler called name ("/" is its first page).
function page.link(env, name)
    local prefix = env.SCRIPT_PREFIX == "/" and "" or env.SCRIPT_PREFIX
    return prefix .. name
end

-- The address of this gateway as the client knows it, without a slash at its end.
function page.origin(env, header)
    return env.SCHEME .. "://" .. (header.host or "localhost:" .. env.SERVER_PORT)
end

-- A message on a page, which screen readers read out at once; kind = "good" or "bad", what = a word or two that say so.
function page.notice(kind, what, text)
    return '<p class="notice ' .. kind .. '" role="alert"><b>' .. page.escape(what) .. ':</b> ' .. page.escape(text) .. '</p>'
end

-- Fields that every answer carries: nothing is guessed, framed, or told to other sites.
local function safe_fields(status, content_type, policy)
    return {
        [":status"] = status,
        ["content-type"] = content_type,
        ["content-security-policy"] = policy,
        ["x-content-type-options"] = "nosniff",
        ["referrer-policy"] = "no-referrer",
        ["cross-origin-opener-policy"] = "same-origin",
        ["cross-origin-resource-policy"] = "same-origin",
        ["cache-control"] = "no-store",
    }
end

-- Sends the head of an answer that is no page; more = fields to add.
function page.head(status, content_type, more)
    local fields = safe_fields(status, content_type, "default-src 'none'; frame-ancestors 'none'; sandbox")
    for name, value in pairs(more or {}) do
        fields[name] = value
    end
    httpd.header(fields)
end

-- Answers with a short text; more = fields to add.
function page.text(status, text, more)
    page.head(status, "text/plain; charset=utf-8", more)
    httpd.write(nil, text)
end

-- Answers with a page: body is HTML. more (optional): script = JavaScript without markup, status (200), fields to add.
function page.html(title, body, more)
    local script, status = more and more.script, more and more.status or "200"
    local policy = "default-src 'none'; style-src " .. STYLE_HASH .. "; img-src data:; connect-src 'self'; "
        .. (script and "script-src " .. source_hash(script) .. "; " or "")
        .. "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    local fields = safe_fields(status, "text/html; charset=utf-8", policy)
    for name, value in pairs(more and more.fields or {}) do
        fields[name] = value
    end
    httpd.header(fields)
    httpd.write(nil, table.concat {
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>', page.escape(title), '</title>\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        '<link rel="icon" href="', ICON, '">\n<style>', STYLE, '</style>\n</head>\n<body>\n', body, '\n',
        script and '<script>' .. script .. '</script>\n' or '', '</body>\n</html>\n',
    })
end

-- The head of a page that is not the first one, and its frame; more = as for page.html.
function page.inner(title, lead, content, more)
    page.html(title .. " · lgateway", table.concat {
        '<div class="wrap">\n<header class="top"><a href="/">← lgateway</a><h1>', page.escape(title), '</h1>\n<p>',
        lead, '</p></header>\n<main>\n', content, '\n</main>\n<footer></footer>\n</div>',
    }, more)
end

return page
