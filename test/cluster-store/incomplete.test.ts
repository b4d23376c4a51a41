import test from 'ava'
import { markChange } from '../../src/migrate/target.ts'
import { clusterTests } from './scene.ts'

const cluster = clusterTests(test)

cluster(
  'a database that holds only a part of another store serves nobody, under whatever name',
  async (t, scene) => {
    const mover = await scene.broker('mover', { isIdle: true })
    await mover.write(markChange({ from: './data', fingerprint: 'x' }))
    const refused = { code: 'QUEUE_STORE_INCOMPLETE', message: /only a part of \.\/data: finish it/ }
    await t.throwsAsync(() => scene.core('another'), refused)
    await mover.end()
    await t.throwsAsync(() => scene.core('mover'), refused)
    await t.throwsAsync(() => scene.core('another'), refused)
    const again = await scene.broker('mover', { isIdle: true })
    await again.write(markChange(null))
    await t.notThrowsAsync(() => scene.core('another'))
  }
)
