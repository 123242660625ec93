-- A clock whose answer does not end: one line each second, until the client goes or an hour is over.
-- curl --no-buffer --cacert certs/development/certificate.pem https://localhost:8443/clock/stream
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")

-- Seconds after which a stream ends by itself, so that forgotten ones do not add up.
local SECONDS_MAX = 3600

local SCRIPT = [[
const clock = document.getElementById('clock');
const state = document.getElementById('state');
async function follow() {
    const response = await fetch(clock.dataset.stream);
    if (!response.ok) throw new Error(await response.text());
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    state.textContent = 'One answer, growing by a line each second';
    let rest = '';
    for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const lines = (rest + value).split('\n');
        rest = lines.pop();
        if (lines.length > 0) clock.textContent = lines[lines.length - 1];
    }
    state.textContent = 'The stream has ended; reload the page for another';
}
follow().catch((error) => { state.textContent = 'The stream broke: ' + error.message; });
]]

httpd.register_handler("/", function(env, header)
    local stream = page.link(env, "/stream")
    page.inner("Clock",
        'A handler may write for as long as it likes. While it waits for the next second it holds a coroutine, no thread.',
        '<section class="sheet"><div class="big" id="clock" data-stream="' .. page.escape(stream) .. '">--:--:--</div>'
        .. '<p class="soft">UTC. <span id="state">Opening the stream …</span></p>'
        .. '<pre>curl --no-buffer --insecure ' .. page.escape(page.origin(env, header) .. stream) .. '</pre></section>',
        {script = SCRIPT})
end)

httpd.register_handler("/stream", function()
    page.head("200", "text/plain; charset=utf-8")
    for _ = 1, SECONDS_MAX do
        httpd.write(nil, os.date("!%H:%M:%S\n"))
        httpd.sleep(1)
    end
end)
