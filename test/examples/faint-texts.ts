/**
 * Script for a page: its texts that are too faint on what is behind them, each with the contrast that it has.
 * @see WCAG 2.2 section 1.4.3
 */
export const FAINT_TEXTS = `(() => {
  const channels = color => (color.match(/[\\d.]+/g) ?? []).map(Number)
  const luminance = color => {
    const [red, green, blue] = channels(color).map(value => {
      const part = value / 255
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const background = element => {
    const color = getComputedStyle(element).backgroundColor
    if (channels(color)[3] !== 0) return color
    return element.parentElement ? background(element.parentElement) : 'rgb(255, 255, 255)'
  }
  const hasText = element =>
    [...element.childNodes].some(({ nodeType, textContent }) => nodeType === 3 && textContent.trim())
  return [...document.body.querySelectorAll('*')].filter(hasText).flatMap(element => {
    const { color, fill } = getComputedStyle(element)
    const text = luminance(element instanceof SVGElement ? fill : color)
    const behind = luminance(background(element))
    const ratio = (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05)
    return ratio >= 4.5 ? [] : [element.textContent.trim() + ': ' + ratio.toFixed(1)]
  })
})()`
