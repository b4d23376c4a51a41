import { duration, showAttached } from './attached.js'
import { Counter } from './counter.js'
import { followCustomers } from './follow.js'
import { History } from './history.js'
import { drawBars } from './plot.js'

const RETRY_MS = 2_000
const REFRESH_MS = 2_000
const SPEAK_MS = 10_000
const INTERVALS = { second: 1_000, minute: 60_000 }

const at = id => document.getElementById(id)
const clientId = `dashboard-${crypto.getRandomValues(new Uint16Array(1))[0].toString(16).padStart(4, '0')}`
const counter = new Counter()
const history = new History()
/** What is wrong at present, by what it concerns. */
const troubles = new Map()
let latest
/** The server's clock minus this one's. */
let clockOffsetMs = 0
const nowMs = () => Date.now() + clockOffsetMs

void followCustomers({
  clientId,
  onEvent(customer) {
    // anybody may publish anything: what has no number is no customer of the API server
    if (!Number.isInteger(customer?.number) || !counter.created(customer.number)) return
    history.add(customer)
    latest = customer
    renderSoon()
  },
  onSubscribed: readCount,
  onLost(refusal) {
    const reason = refusal ? ` (${refusal})` : ''
    if (at('status').dataset.state === 'live') at('total').dataset.stale = new Date().toLocaleTimeString()
    const asOf = at('total').dataset.stale
    const number = asOf ? ` The number is the one of ${asOf}.` : ''
    setState('lost', 'Not connected')
    setTrouble('connection', `Not connected to the queue server${reason}; trying again.${number}`)
  }
})
void refreshAttached()
setInterval(renderSoon, 1_000)
setInterval(speak, SPEAK_MS)
new ResizeObserver(renderSoon).observe(at('plot'))
for (const input of document.querySelectorAll('[name=interval]')) input.addEventListener('change', renderSoon)

/** Reads the count until it is there, or the connection is gone. */
async function readCount(signal) {
  setState('connecting', 'Counting')
  setTrouble('connection', '')
  while (!signal.aborted) {
    try {
      const answer = await getJson('api/count')
      if (signal.aborted) return
      clockOffsetMs = Date.parse(answer.now) - Date.now()
      counter.counted(answer)
      for (const customer of answer.recent) history.add(customer)
      delete at('total').dataset.stale
      setTrouble('count', '')
      setState('live', 'Live')
      renderSoon()
      return
    } catch (error) {
      setTrouble('count', `The count cannot be read: ${error.message}`)
      await delay(RETRY_MS)
    }
  }
}

async function refreshAttached() {
  for (;;) {
    try {
      const { attached, connected, sessions } = await getJson('api/attached')
      showAttached(at('attached'), sessions, { nowMs: nowMs(), ownId: clientId })
      const part = attached > sessions.length ? `; these ${sessions.length} have the most to receive` : ''
      at('attached-count').textContent = `${attached} sessions, ${connected} of them connected${part}`
      delete at('attached').dataset.stale
      setTrouble('attached', '')
    } catch (error) {
      at('attached').dataset.stale = true
      setTrouble('attached', `Who is attached is not known: ${error.message}`)
    }
    await delay(REFRESH_MS)
  }
}

/** @throws Error with what the program says is wrong. */
async function getJson(path) {
  const answer = await fetch(path).catch(() => {
    throw new Error('the program of this dashboard does not answer; is it running?')
  })
  const body = await answer.json()
  if (!answer.ok) throw new Error(body.detail)
  return body
}

function setState(state, text) {
  at('status').dataset.state = state
  if (at('status').textContent !== text) at('status').textContent = text // or it would be spoken again
}

function setTrouble(what, text) {
  if (text) troubles.set(what, text)
  else troubles.delete(what)
  const all = [...troubles.values()].join('\n')
  if (at('trouble').textContent !== all) at('trouble').textContent = all
  at('trouble').hidden = all === ''
}

let isRenderDue = false

function renderSoon() {
  if (isRenderDue) return
  isRenderDue = true
  requestAnimationFrame(render)
}

function render() {
  isRenderDue = false
  const { total } = counter
  if (total !== undefined) {
    at('total').textContent = total.toLocaleString()
    document.title = `${total.toLocaleString()} customers`
  }
  const lastMinute = history.counts(1_000, 60, nowMs()).reduce((sum, count) => sum + count, 0)
  const name = latest
    ? `, latest: ${latest.name} (${duration(nowMs() - Date.parse(latest.createdAt))} ago)`
    : ''
  if (total !== undefined)
    at('latest').textContent = `${lastMinute.toLocaleString()} in the last minute${name}`
  const unit = document.querySelector('[name=interval]:checked').value
  drawBars(at('plot'), history.counts(INTERVALS[unit], 60, nowMs()), { unit })
}

function speak() {
  const { total } = counter
  const text = total === undefined ? '' : `${total.toLocaleString()} customers`
  if (at('spoken').textContent !== text) at('spoken').textContent = text
}

function delay(ms) {
  return new Promise(resolve => setTimeout(resolve, ms))
}
