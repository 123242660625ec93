-- A webhook whose sender signs each delivery, as GitHub does: nothing unsigned, changed or repeated is taken.
-- curl --cacert certs/development/certificate.pem https://localhost:8443/webhook
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")

-- What sender and receiver know, and nobody else: give a secret of your own in the environment, and --allow-env WEBHOOK_SECRET.
-- Without it this demo has the secret of the examples in GitHub's manual.
local DEMO_SECRET = "It's a Secret to Everybody"
local SECRET = os.getenv("WEBHOOK_SECRET") or DEMO_SECRET

local BODY_BYTES_MAX = 1024 * 1024
-- For so long a delivery that comes again is known.
local REMEMBER_SECONDS = 24 * 3600
-- Deliveries that the page shows, and characters of each.
local SHOWN_MAX, SHOWN_BYTES = 5, 80

local deliveries = assert(httpd.shared("deliveries"))

-- The signature that a body has to come with.
local function sign(body)
    return "sha256=" .. httpd.crypto.hmac("sha256", SECRET, body, "hex")
end

-- Here the program does what the delivery asks for. The sender has its answer already. What must not be lost when the
-- machine fails belongs into a file before that answer.
local function work(body)
    local number = deliveries:incr("count", 1, 0)
    deliveries:set("text " .. number, os.date("!%H:%M:%S ") .. body:sub(1, SHOWN_BYTES))
    deliveries:delete("text " .. number - SHOWN_MAX)
end

httpd.register_handler("/", function(_, header)
    local body, message = httpd.read(nil, "a")
    if not body then
        return page.text("400", message .. "\n")
    end
    -- equal takes the same time wherever the difference is; == would tell an attacker how much of a guess is right
    local signature = sign(body)
    if not httpd.crypto.equal(header["x-hub-signature-256"] or "", signature) then
        return page.text("403", "The signature is missing or wrong\n")
    end
    -- The signature says who has sent it and not when: who has seen a delivery can send it again. The signature itself
    -- is remembered, because what is not signed (x-github-delivery) can be changed.
    if not deliveries:add(signature, true, REMEMBER_SECONDS) then
        return page.text("200", "This delivery is known already\n")
    end
    local timer, reason = httpd.timer(0, function()
        work(body)
    end)
    if not timer then
        deliveries:delete(signature)
        return page.text("503", reason .. "\n", {["retry-after"] = 10})
    end
    page.text("202", "Accepted\n")
end, {methods = {"POST"}, body = BODY_BYTES_MAX})

local SCRIPT = [[
const state = document.getElementById('state');
for (const button of document.querySelectorAll('button')) button.addEventListener('click', async () => {
    const { body, signature } = button.dataset;
    const response = await fetch(location.pathname, { method: 'POST', body, headers: { 'x-hub-signature-256': signature } });
    state.textContent = response.status + ': ' + await response.text();
});
]]

-- The latest deliveries, the newest first.
local function list()
    local items = {}
    local last = deliveries:get("count") or 0
    for number = last, math.max(1, last - SHOWN_MAX + 1), -1 do
        items[#items + 1] = '<li class="mono">' .. page.escape(deliveries:get("text " .. number) or "…") .. '</li>'
    end
    return #items == 0 and '<p class="soft">Nothing yet.</p>' or '<ul class="rows">' .. table.concat(items) .. '</ul>'
end

-- Sends a sample that is signed, and one that was changed after that.
local function try_it()
    local sample = os.date("!Delivery of %H:%M:%S")
    local signature = '" data-signature="' .. sign(sample) .. '" data-body="'
    return table.concat {
        '<section class="sheet"><h2>Try it</h2><p class="buttons">',
        '<button class="button', signature, page.escape(sample), '">Send signed</button> ',
        '<button class="button', signature, page.escape(sample .. "!"), '">Send changed</button></p>',
        '<p class="mono" id="state" role="status">&nbsp;</p></section>\n',
    }
end

local COMMANDS = [[
body='{"action":"opened"}'
signature=$(printf %s "$body" | openssl dgst -sha256 -hmac "$WEBHOOK_SECRET" -r | cut -d ' ' -f 1)
curl -k -H "x-hub-signature-256: sha256=$signature" -d "$body" ]]

httpd.register_handler("/", function(env, header)
    page.inner("Webhook", "The sender signs each delivery with a secret that both know. Nothing unsigned, changed or repeated is taken.",
        table.concat {
            -- strangers sign nothing with a secret that is one
            SECRET == DEMO_SECRET and try_it() or '',
            '<section class="sheet"><h2>Latest deliveries</h2>', list(), '</section>\n',
            '<section class="sheet"><h2>Without a browser</h2><pre>',
            page.escape(COMMANDS .. page.origin(env, header) .. env.SCRIPT_PREFIX), '</pre></section>',
        }, {script = SCRIPT})
end, {methods = {"GET"}})
