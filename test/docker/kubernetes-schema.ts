import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv, type ErrorObject } from 'ajv'

/** An object of Kubernetes. */
export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string }
}

interface Kind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

interface OpenApi {
  readonly components: {
    readonly schemas: Readonly<Record<string, { 'x-kubernetes-group-version-kind'?: readonly Kind[] }>>
  }
}

/**
 * What is wrong with an object, by the description of its kind that Kubernetes ships; fields that are not described are
 * wrong too, which the API server only warns of.
 * @param folder OpenAPI files of Kubernetes.
 */
export function manifestErrors(folder: string, manifest: Manifest): string[] {
  const api = manifest.apiVersion.includes('/') ? `apis/${manifest.apiVersion}` : `api/${manifest.apiVersion}`
  const file = join(folder, `${api.replaceAll('/', '__')}_openapi.json`)
  const document = closed(JSON.parse(readFileSync(file, 'utf8'))) as OpenApi
  const [name] =
    Object.entries(document.components.schemas).find(([, schema]) =>
      schema['x-kubernetes-group-version-kind']?.some(({ kind }) => kind === manifest.kind)
    ) ?? []
  if (name === undefined) return [`${manifest.apiVersion} has no ${manifest.kind}`]
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true })
  ajv.addSchema(document, 'kubernetes')
  const validate = ajv.getSchema(`kubernetes#/components/schemas/${name}`)!
  return validate(manifest) ? [] : validate.errors!.map(errorText)
}

/** The same schemas, which take no field that they do not name. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, inner]) => [key, closed(inner)] as const)
  const isOpen = 'properties' in value && 'type' in value && !('additionalProperties' in value)
  return Object.fromEntries([...entries, ...(isOpen ? [['additionalProperties', false] as const] : [])])
}

function errorText({ instancePath, message, params }: ErrorObject): string {
  return `${instancePath} ${message} ${JSON.stringify(params)}`
}
