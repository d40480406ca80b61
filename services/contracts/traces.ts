/**
 * What spans are called and say. Names of HTTP and databases are OpenTelemetry's stable ones. Those of messaging are
 * still in development there: they stand here and nowhere else, so that a new name is one line. No span holds a name,
 * a description or a token: ids only, as in the log.
 */
export const SPAN = {
  method: 'http.request.method',
  route: 'http.route',
  status: 'http.response.status_code',
  path: 'url.path',
  scheme: 'url.scheme',
  url: 'url.full',
  host: 'server.address',
  port: 'server.port',
  error: 'error.type',

  database: 'db.system.name',
  databaseOperation: 'db.operation.name',

  messaging: 'messaging.system',
  destination: 'messaging.destination.name',
  partition: 'messaging.destination.partition.id',
  offset: 'messaging.kafka.offset',
  operation: 'messaging.operation.type',
  batchSize: 'messaging.batch.message_count',

  page: 'topclients.page',
  delivery: 'topclients.delivery',
  outcome: 'topclients.outcome',
  seller: 'topclients.seller.id',
  version: 'topclients.seller.version',
} as const;
export type SpanAttributes = Readonly<
  Partial<Record<(typeof SPAN)[keyof typeof SPAN], string | number | boolean>>
>;
