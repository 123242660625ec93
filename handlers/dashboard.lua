-- A dashboard of live events: all workers see each event at once, and a browser that comes back has missed none.
-- curl --cacert certs/development/certificate.pem -d kind=order https://localhost:8443/dashboard
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")
local ring = dofile(folder .. "lib/ring.lua")

-- What may happen, as forms and events call it, and its name on the page.
local KINDS = {"order", "signup", "alarm"}
local NAMES = {order = "Orders", signup = "Sign-ups", alarm = "Alarms"}
-- Events that are kept for those who come back, and those that the page lists.
local KEPT_MAX, SHOWN_MAX = 200, 8
local FORM_BYTES_MAX = 1024
-- Seconds until a browser comes back, and between two comments that show that the stream lives.
local RETRY_SECONDS, HEARTBEAT_SECONDS = 0.5, 5
-- Events that one address makes in so many seconds.
local EVENTS_MAX, EVENTS_SECONDS = 60, 60

local events = ring.open("dashboard", KEPT_MAX)
local counts = assert(httpd.shared("dashboard-counts"))

-- Pages of other sites make no events.
httpd.hook("request", require 'lgateway.csrf'.check())

-- Counts an event and tells everybody. Returns true, or nil, a status and a message.
local function happen(env, kind)
    if not NAMES[kind] then
        return nil, "422", "The form has to have kind=order, kind=signup or kind=alarm"
    end
    local made = counts:incr("from " .. env.CLIENT_ADDR, 1, 0, EVENTS_SECONDS)
    if not made or made > EVENTS_MAX then
        return nil, "429", "More than " .. EVENTS_MAX .. " events in " .. EVENTS_SECONDS .. " seconds"
    end
    local total, message = counts:incr(kind, 1, 0)
    if total then
        total, message = events:add(httpd.json.encode{kind = kind, total = total, time = os.date("!%H:%M:%S"), worker = env.WORKER_ID})
    end
    return total and true, "503", message
end

-- Without a cursor, of the browser that comes back or of the page, the stream begins with all that is kept.
httpd.register_handler("/stream", function(env)
    local query = httpd.query(env) or {}
    local sub <close>, message = events:subscribe()
    if not sub then
        return page.text("503", message .. "\n")
    end
    local stream <close> = assert(httpd.sse{retry = RETRY_SECONDS, heartbeat = HEARTBEAT_SECONDS})
    local cursor = stream.last_id or query.after
    for text, number in events:follow(sub, events:seen(type(cursor) == "string" and cursor or nil)) do
        if not stream:send{id = events:cursor(number), data = text} then
            return
        end
    end
end, {methods = {"GET"}})

local SCRIPT = [[
const SECONDS = 60, SHOWN_MAX = 8;
const [main, state, counted, list, chart] = ['live', 'state', 'counted', 'list', 'chart'].map((id) => document.getElementById(id));
const bars = Array.from({ length: SECONDS }, () => 0);
const numberOf = (cursor) => Number(cursor.split('-')[1]);
let last = numberOf(main.dataset.cursor), received = 0, missed = 0, connections = 0;
function tell(word) {
    // a screen reader reads out what changes in here
    if (state.textContent !== word) state.textContent = word;
    counted.textContent = `· ${received} received · ${missed} missed · connected ${connections}×`;
}
function draw() {
    const top = Math.max(5, ...bars);
    bars.forEach((count, i) => {
        const height = 40 * count / top;
        chart.children[i].setAttribute('y', 40 - height);
        chart.children[i].setAttribute('height', height);
    });
}
for (let i = 0; i < SECONDS; i++) {
    const bar = chart.appendChild(document.createElementNS(chart.namespaceURI, 'rect'));
    bar.setAttribute('x', i * 5);
    bar.setAttribute('width', 4);
}
setInterval(() => { bars.push(0); bars.shift(); draw(); }, 1000);
const source = new EventSource(main.dataset.stream + '?after=' + main.dataset.cursor);
source.onopen = () => { connections++; tell('Live'); };
source.onerror = () => tell('Coming back');
source.onmessage = ({ data, lastEventId }) => {
    const { kind, total, time, worker } = JSON.parse(data), number = numberOf(lastEventId);
    // numbers begin anew with the gateway
    if (number > last) missed += number - last - 1;
    last = number;
    received++;
    bars[SECONDS - 1]++;
    document.getElementById(kind).textContent = total;
    const item = document.createElement('li');
    item.textContent = `${time} · ${kind} ${total} · worker ${worker}`;
    list.prepend(item);
    while (list.children.length > SHOWN_MAX) list.lastChild.remove();
    draw();
    tell('Live');
};
document.getElementById('make').addEventListener('submit', async (event) => {
    event.preventDefault();
    const body = new URLSearchParams({ kind: event.submitter.value });
    const response = await fetch(location.pathname, { method: 'POST', body });
    if (!response.ok) state.textContent = await response.text();
});
]]

-- The latest events as items of a list, the newest first, and the number of the last one.
local function latest()
    local items, last = {}, 0
    local text, number = events:after(last)
    while text do
        local event = httpd.json.decode(text)
        table.insert(items, 1, table.concat {
            '<li>', page.escape(event.time), ' · ', event.kind, ' ', event.total, ' · worker ', event.worker, '</li>',
        })
        items[SHOWN_MAX + 1], last = nil, number
        text, number = events:after(last)
    end
    return table.concat(items), last
end

httpd.register_handler("/", function(env, header)
    -- before the totals: an event that comes between shows twice, and none is missed
    local items, last = latest()
    local tiles, buttons, stream = {}, {}, page.link(env, "/stream")
    for i, kind in ipairs(KINDS) do
        tiles[i] = '<div><div class="soft">' .. NAMES[kind] .. '</div><div class="big" id="' .. kind .. '">'
            .. (counts:get(kind) or 0) .. '</div></div>'
        buttons[i] = '<button class="button" name="kind" value="' .. kind .. '">One more ' .. kind .. '</button>'
    end
    page.inner("Dashboard", "Server-sent events: what happens in one worker is seen in all. A browser that comes back has missed none.",
        table.concat {
            '<section class="sheet" id="live" data-stream="', page.escape(stream), '" data-cursor="', events:cursor(last),
            '"><h2>So far</h2><div class="tiles">', table.concat(tiles), '</div>',
            '<svg class="chart" viewBox="0 0 300 40" preserveAspectRatio="none" id="chart" role="img" ',
            'aria-label="Events of the last minute, by second"></svg>',
            '<p class="soft"><span id="state" role="status">Without scripts: reload the page for what is new</span> ',
            '<span id="counted"></span></p>',
            '<form method="post" id="make"><p class="buttons">', table.concat(buttons), '</p></form></section>\n',
            '<section class="sheet"><h2>Latest events</h2><ul class="rows" id="list">', items, '</ul></section>\n',
            '<section class="sheet"><h2>Without a browser</h2><pre>curl -kN ', page.escape(page.origin(env, header) .. stream),
            '</pre></section>',
        }, {script = SCRIPT})
end, {methods = {"GET"}})

httpd.register_handler("/", function(env, header)
    local form, message, code = httpd.form{size = FORM_BYTES_MAX}
    if not form then
        return page.text(code == "limit" and "413" or "400", message .. "\n")
    end
    local done, status, reason = happen(env, form.kind)
    if not done then
        page.text(status, reason .. "\n")
    elseif page.wants_html(header) then
        -- a browser that runs no script
        httpd.redirect(page.link(env, "/"), 303)
    else
        page.text("201", "Everybody has been told\n")
    end
end, {methods = {"POST"}})
