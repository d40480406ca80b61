import { connect as connectTcp, isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import kafkajs, { type ISocketFactory, type Kafka, type KafkaConfig } from 'kafkajs';
import { z } from 'zod';
import { caFile, whyNotTrusted } from '../certificates.ts';
import { ConfigError, integer, list, setting } from '../config.ts';
import type { Log } from '../log.ts';
import { expectInstalled } from './install.ts';

// kafkajs is CommonJS, and not all of its exports are found by name.
const { logLevel } = kafkajs;

export type { Admin, Kafka, Message as KafkaMessage, Producer } from 'kafkajs';

/** The settings of every role that speaks to Kafka. */
export const KAFKA_SETTINGS = {
  brokers: setting(
    'TC_KAFKA_BROKERS',
    'bootstrap addresses, host:port, comma-separated',
    // kafkajs ends the host at the first colon. The brokers that these name may have any address.
    list().refine(
      (brokers) => brokers.every((one) => /^[^\s:]+:\d+$/.test(one)),
      'must be host:port each; an IPv6 address needs a name there',
    ),
  ),
  tls: setting('TC_KAFKA_TLS', 'whether to use TLS', z.stringbool().default(false)),
  caFile: setting(
    'TC_KAFKA_CA_FILE',
    'file with the PEM certificates to trust; brokers are then reached by TLS',
    caFile().optional(),
  ),
  saslMechanism: setting(
    'TC_KAFKA_SASL_MECHANISM',
    'plain, scram-sha-256 or scram-sha-512',
    z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).optional(),
  ),
  saslUsername: setting('TC_KAFKA_SASL_USERNAME', 'user name for SASL', z.string().optional()),
  saslPassword: setting('TC_KAFKA_SASL_PASSWORD', 'password for SASL', z.string().optional()),
  requestTimeoutMs: setting(
    'TC_KAFKA_REQUEST_TIMEOUT_MS',
    'deadline of one request, in ms',
    integer(100, 300_000).default(5_000),
  ),
} as const;

export interface KafkaSettings {
  readonly brokers: string[];
  readonly tls?: boolean;
  /** The authority that must have signed the brokers' certificates; read at every connection. */
  readonly caFile?: string;
  readonly sasl?: {
    mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
    username: string;
    password: string;
  };
  readonly requestTimeoutMs?: number;
  /** How often a call is tried again. Default 5. */
  readonly retries?: number;
}

/** Small requests go out at once; kafkajs' own sockets would hold one back while another is unanswered (Nagle). */
export const openSocket: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  const socket = ssl ? openTlsSocket(host, port, ssl, onConnect) : connectTcp({ host, port }, onConnect);
  return socket.setNoDelay(true).setKeepAlive(true, 60_000);
};

/** @param ssl as `openKafka` hands it to kafkajs, which hands it on unseen */
function openTlsSocket(
  host: string,
  port: number,
  { caFile, ...options }: ConnectionOptions & { caFile?: string },
  onConnect: () => void,
) {
  // Loaded with the first connection that needs them.
  const { connect } = process.getBuiltinModule('node:tls');
  const { readFileSync } = process.getBuiltinModule('node:fs');
  const socket = connect(
    {
      host,
      port,
      ...(isIP(host) ? {} : { servername: host }),
      ...options,
      // Read at every connection: an authority that was renewed is used without a restart.
      ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
    },
    onConnect,
  );
  // The first listener, so that kafkajs wraps the error that says what to change.
  return socket.on('error', (err) => {
    const peer = {
      what: 'the Kafka broker',
      host,
      port,
      caFile: caFile ?? null,
      setting: 'TC_KAFKA_CA_FILE',
    };
    err.message = whyNotTrusted(err, peer) ?? err.message;
  });
}

/**
 * A client whose log lines go to ours. Retries are bounded: callers decide what happens after the last.
 * @throws Error when `installKafkaCodecs` was not called before
 */
export function openKafka(
  clientId: string,
  settings: KafkaSettings,
  log: Log,
  socketFactory: ISocketFactory = openSocket,
): Kafka {
  expectInstalled();
  const write = { [logLevel.ERROR]: 'error', [logLevel.WARN]: 'warn', [logLevel.INFO]: 'debug' } as const;
  const { caFile } = settings;
  const ssl = caFile === undefined ? settings.tls : ({ caFile } as ConnectionOptions);
  return new kafkajs.Kafka({
    clientId,
    brokers: [...settings.brokers],
    socketFactory,
    connectionTimeout: 3_000,
    requestTimeout: settings.requestTimeoutMs ?? 5_000,
    enforceRequestTimeout: true,
    retry: { initialRetryTime: 50, maxRetryTime: 1_000, retries: settings.retries ?? 5 },
    ...(ssl ? { ssl: ssl === true ? {} : ssl } : {}),
    ...(settings.sasl ? { sasl: settings.sasl as KafkaConfig['sasl'] & object } : {}),
    logCreator:
      () =>
      ({ level, log: entry }) =>
        log[(write as Record<number, 'error' | 'warn' | 'debug'>)[level] ?? 'debug'](
          { kafka: { ...entry, message: undefined } },
          entry.message,
        ),
    logLevel: logLevel.INFO,
  });
}

/**
 * Turns the settings of a role into those of the client.
 * @throws ConfigError when only some of the settings for signing in are given
 */
export function kafkaSettings(config: {
  brokers: string[];
  tls: boolean;
  caFile?: string | undefined;
  saslMechanism?: 'plain' | 'scram-sha-256' | 'scram-sha-512' | undefined;
  saslUsername?: string | undefined;
  saslPassword?: string | undefined;
  requestTimeoutMs: number;
}): KafkaSettings {
  const { saslMechanism: mechanism, saslUsername: username, saslPassword: password } = config;
  if (mechanism && (username === undefined || password === undefined)) {
    throw new ConfigError('TC_KAFKA_SASL_MECHANISM needs TC_KAFKA_SASL_USERNAME and TC_KAFKA_SASL_PASSWORD');
  }
  if (!mechanism && (username !== undefined || password !== undefined)) {
    throw new ConfigError(
      'TC_KAFKA_SASL_USERNAME and TC_KAFKA_SASL_PASSWORD need TC_KAFKA_SASL_MECHANISM, or nobody signs in with them',
    );
  }
  return {
    brokers: config.brokers,
    tls: config.tls,
    requestTimeoutMs: config.requestTimeoutMs,
    ...(config.caFile === undefined ? {} : { caFile: config.caFile }),
    ...(mechanism ? { sasl: { mechanism, username: username!, password: password! } } : {}),
  };
}
