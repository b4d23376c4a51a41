import { randomUUID } from 'node:crypto'

const FIRST = [
  'Ann',
  'Bo',
  'Carla',
  'Dev',
  'Emil',
  'Fatima',
  'Greta',
  'Hugo',
  'Ines',
  'Jun',
  'Kofi',
  'Lena',
  'Mei'
]
const LAST = ['Abel', 'Berg', 'Costa', 'Diaz', 'Eto', 'Fischer', 'Gupta', 'Haas', 'Ito', 'Jansen', 'Kaya']

/** Posts a customer that is not there yet; its name and number. @throws Error when it is not created. */
export async function createCustomer(
  apiUrl: string,
  token: string
): Promise<{ name: string; number: number }> {
  const pick = (names: readonly string[]) => names[Math.floor(Math.random() * names.length)]!
  const [first, last] = [pick(FIRST), pick(LAST)]
  const email = `${first}.${last}.${randomUUID().slice(0, 8)}@example.com`
  const answer = await fetch(`${apiUrl}/customers`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: `${first} ${last}`, email })
  })
  if (answer.status !== 201)
    throw new Error(`the API server answers ${answer.status}: ${await answer.text()}`)
  return (await answer.json()) as { name: string; number: number }
}
