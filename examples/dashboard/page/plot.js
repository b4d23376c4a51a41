const SVG = 'http://www.w3.org/2000/svg'
const MARGIN = { top: 10, right: 4, bottom: 22, left: 34 }

/**
 * Draws bars into an `svg` element, which says the same in words.
 * @param {SVGSVGElement} svg
 * @param {readonly number[]} values whole numbers, oldest first
 * @param {{ unit: string }} labels `unit` of an interval: second or minute
 */
export function drawBars(svg, values, { unit }) {
  const { width, height } = svg.getBoundingClientRect()
  const right = width - MARGIN.right
  const bottom = height - MARGIN.bottom
  const most = Math.max(...values)
  const ticks = wholeTicks(most)
  const y = value => bottom - (value / ticks.at(-1)) * (bottom - MARGIN.top)
  const step = (right - MARGIN.left) / values.length
  const gap = step > 4 ? 2 : 1

  const grid = ticks.flatMap(tick => [
    element('line', { x1: MARGIN.left, x2: right, y1: y(tick), y2: y(tick) }),
    element('text', { x: MARGIN.left - 8, y: y(tick) + 4, 'text-anchor': 'end' }, tick.toLocaleString())
  ])
  const bars = values.flatMap((value, index) => {
    if (value === 0) return []
    const x = MARGIN.left + index * step
    const ago = values.length - 1 - index
    const bar = { x, y: y(value), width: step - gap, height: bottom - y(value), rx: Math.min(2, step / 4) }
    return [
      element('rect', bar, '', `${value} created ${ago === 0 ? `in this ${unit}` : `${ago} ${unit}s ago`}`)
    ]
  })
  const ends = [
    element('text', { x: MARGIN.left, y: height - 5 }, `${values.length} ${unit}s ago`),
    element('text', { x: right, y: height - 5, 'text-anchor': 'end' }, 'now')
  ]
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`)
  svg.replaceChildren(...grid, ...bars, ...ends)
  const sum = values.reduce((total, value) => total + value, 0)
  svg.ariaLabel = `${sum} created in the last ${values.length} ${unit}s, at most ${most} in one ${unit}`
}

/** Whole numbers from 0 in even steps of 1, 2 or 5 times a power of ten, the last one not below `most`. */
export function wholeTicks(most) {
  const least = Math.max(1, most / 4)
  const power = 10 ** Math.floor(Math.log10(least))
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= least)
  const ticks = [0]
  while (ticks.at(-1) < Math.max(most, 1)) ticks.push(ticks.at(-1) + step)
  return ticks
}

function element(name, attributes, text = '', title = '') {
  const made = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  if (text) made.textContent = text
  if (title) made.append(element('title', {}, title))
  return made
}
