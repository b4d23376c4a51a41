/**
 * Shows who is attached to the queue.
 * @param {HTMLTableSectionElement} body
 * @param {readonly object[]} sessions as the program answers `api/attached`
 * @param {{ nowMs: number, ownId: string }} context `ownId`: the session of this page
 */
export function showAttached(body, sessions, { nowMs, ownId }) {
  const isPage = ({ id }) => id.startsWith('dashboard-')
  const pagesLast = sessions.toSorted((one, other) => isPage(one) - isPage(other))
  body.replaceChildren(...pagesLast.map(session => row(session, nowMs, ownId)))
}

function row({ id, connected, since, backlog, inflight }, nowMs, ownId) {
  const time = since === null ? '' : ` ${duration(nowMs - Date.parse(since))}`
  const own = id === ownId ? ', this page' : ''
  const state = element('span', `${connected ? '● connected' : '○ away'}${time}${own}`)
  state.className = 'state'
  state.dataset.connected = connected
  const name = element('th', id)
  name.scope = 'row'
  name.append(state)
  const made = element('tr', '')
  made.append(name, numberCell(backlog), numberCell(inflight))
  return made
}

function element(name, text) {
  const made = document.createElement(name)
  made.textContent = text
  return made
}

function numberCell(value) {
  const made = element('td', value.toLocaleString())
  made.className = value > 0 ? 'number some' : 'number'
  return made
}

/** 75,000 ms are `1 min`. */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}
