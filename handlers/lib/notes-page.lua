-- The page of handlers/api.lua: its script lists, adds, changes and deletes notes by the JSON API alone.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "page.lua")

local SCRIPT = [[
const form = document.getElementById('new');
const list = document.getElementById('list');
const state = document.getElementById('state');
const more = document.getElementById('more');
const { notes } = list.dataset;
let next = notes;

/** Calls the API; resolves with its answer, undefined when it was refused, which the page then tells. */
async function call(method, path, value) {
    const body = value === undefined ? undefined : JSON.stringify(value);
    const response = await fetch(path, { method, body, headers: body === undefined ? {} : { 'content-type': 'application/json' } });
    const answer = response.status === 204 ? {} : await response.json();
    const reasons = Object.entries(answer.fields ?? {}).map(([name, reason]) => ': ' + name + ' ' + reason);
    state.textContent = method + ' ' + path + ' → ' + response.status + (response.ok ? '' : ', ' + answer.error + reasons.join(''));
    return response.ok ? answer : undefined;
}

function button(text, label, act) {
    const made = document.createElement('button');
    made.className = 'small';
    made.textContent = text;
    made.setAttribute('aria-label', label);
    made.addEventListener('click', () => act().catch(broken));
    return made;
}

function item(note) {
    const made = document.createElement('li');
    const text = document.createElement('span');
    text.className = note.done ? 'grow done' : 'grow';
    text.textContent = note.text + (note.done ? ' (done)' : '');
    const path = notes + '/' + note.id;
    made.append(text, button(note.done ? 'Reopen' : 'Done', (note.done ? 'Reopen ' : 'Done: ') + note.text, async () => {
        const changed = await call('PUT', path, { text: note.text, done: !note.done });
        if (changed) { const other = item(changed); made.replaceWith(other); other.querySelector('button').focus(); }
    }), button('Delete', 'Delete ' + note.text, async () => {
        if (await call('DELETE', path)) { made.remove(); form.text.focus(); }
    }));
    return made;
}

async function load() {
    const answer = await call('GET', next);
    if (!answer) return;
    list.append(...answer.notes.map(item));
    next = answer.next;
    more.hidden = next === undefined;
}

function broken(error) { state.textContent = 'The request failed: ' + error.message; }

form.addEventListener('submit', (event) => {
    event.preventDefault();
    call('POST', notes, { text: form.text.value }).then((note) => {
        if (!note) return;
        form.reset();
        // the pages before are not all here: the new note comes with the last one
        if (next === undefined) list.append(item(note));
    }).catch(broken);
});
more.addEventListener('click', () => load().catch(broken));
load().catch(broken);
]]

return function(env, header)
    local notes = page.link(env, "/notes")
    page.inner("JSON API",
        "Notes that all workers share. This page has none of them: its script asks the API for everything you see.",
        table.concat {
            '<section class="sheet"><h2>Notes</h2><form id="new">',
            '<label class="field">New note <input name="text" autocomplete="off"></label>',
            '<p><button class="button">Add</button></p></form><p class="mono soft" id="state" role="status">&nbsp;</p>',
            '<ul class="rows" id="list" data-notes="', page.escape(notes), '"></ul>',
            '<p><button class="button" id="more" hidden>More notes</button></p></section>\n',
            '<section class="sheet"><h2>Without a browser</h2><pre>curl -k ',
            page.escape("'" .. page.origin(env, header) .. notes .. "?limit=2'"),
            page.escape("\ncurl -k --json '{\"text\":\"Buy milk\"}' " .. page.origin(env, header) .. notes),
            '</pre></section>',
        }, {script = SCRIPT})
end
