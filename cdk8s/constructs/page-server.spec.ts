import { describe, expect, test } from '@jest/globals';
import { built, OWN_ISSUER, pageOf, platformOf } from '../testing/platforms.ts';
import { pageServer, selfView } from './page-server.ts';

const gig = (spec: unknown) => built((scope) => pageServer(scope, platformOf(), pageOf('gig', spec)));

describe('a page', () => {
  test('asynchronous: what serves it, its address and its budget', () => {
    expect(gig({})).toMatchSnapshot();
  });

  test.each([
    ['synchronous', {}, ['value: synchronous', 'name: TC_PARALLEL\n              value: "true"']],
    ['synchronous', { parallel: false }, ['name: TC_PARALLEL\n              value: "false"']],
    ['hybrid', { view: { version: 7 } }, ['value: hybrid']],
    // Unquoted, a reader of YAML 1.1 takes it for false.
    ['off', {}, ['value: "off"']],
  ])('%s %j is told so', (delivery, further, told) => {
    const yaml = gig({ delivery, ...further });
    for (const line of told) expect(yaml).toContain(line);
    if (delivery !== 'synchronous') expect(yaml).not.toContain('TC_PARALLEL');
  });

  test('is not rolled out when another version of its view is shown', () => {
    expect(gig({ view: { version: 2 } })).toBe(gig({ view: { version: 1 } }));
  });

  test('links to where browsers find the other pages', () => {
    const platform = platformOf({ publicUrls: { search: 'https://search.example.com' } });
    const yaml = built((scope) => pageServer(scope, platform, pageOf('gig')));
    expect(yaml).toContain('name: TC_SEARCH_URL\n              value: https://search.example.com');
    expect(yaml).not.toContain('TC_USER_URL');
  });

  test('believes the proxies that the source believes, for a client is limited by its address', () => {
    const platform = platformOf({ source: { trustedProxies: ['uniquelocal', '192.0.2.0/24'] } });
    const server = { versionCallsPerMinute: 7 };
    const yaml = built((scope) => pageServer(scope, platform, pageOf('gig', { server })));
    expect(yaml).toContain('name: TC_TRUSTED_PROXIES\n              value: uniquelocal,192.0.2.0/24');
    expect(yaml).toContain('name: TC_VERSION_CALLS_PER_MINUTE\n              value: "7"');
    expect(gig({})).not.toContain('TC_TRUSTED_PROXIES');
  });
});

describe('the self-view', () => {
  test('signs in with the demonstration’s issuer', () => {
    expect(built((scope) => selfView(scope, platformOf()))).toMatchSnapshot();
  });

  test('gives no tokens away where the issuer is one’s own', () => {
    const yaml = built((scope) => selfView(scope, platformOf(OWN_ISSUER)));
    expect(yaml).not.toContain('TC_TOKEN_URL');
    expect(yaml).toContain('value: https://a.example.com/keys');
    expect(yaml).toContain('name: TC_SELF_VIEW_URL\n              value: https://my.example.com');
  });
});

describe('a replica of its database', () => {
  const replica = (name: 'gig' | 'self-view', postgres: object) => {
    const platform = platformOf({ postgres });
    const yaml = built((scope) =>
      name === 'gig' ? pageServer(scope, platform, pageOf('gig')) : selfView(scope, platform),
    );
    return /name: TC_DATABASE_REPLICA_URL\n\s+(?:value: (\S+)|valueFrom:\n\s+secretKeyRef:\n\s+key: (\S+))/
      .exec(yaml)
      ?.slice(1)
      .find((one) => one !== undefined);
  };
  const external = { existingSecret: 'mine', replicaKeys: { gig: 'gig-replica' } };

  test('is read where CloudNativePG has one, and trusted as the primary is', () => {
    const address =
      'postgresql://$(DATABASE_USER):$(DATABASE_PASSWORD)@top-clients-postgres-pages-ro:5432/gig';
    expect(replica('gig', { mode: 'cnpg' })).toBe(address);
    expect(replica('gig', { mode: 'cnpg', servers: 'shared' })).toBe(address.replace('-pages', ''));
    const yaml = built((scope) =>
      pageServer(scope, platformOf({ postgres: { mode: 'cnpg' } }), pageOf('gig')),
    );
    expect(yaml).toMatch(/name: TC_DATABASE_REPLICA_CA_FILE\n\s+value: \/etc\/postgres-ca-pages\/ca\.crt/);
  });

  test('is read where the values name one of a server of somebody’s own', () => {
    expect(replica('gig', { mode: 'external', external })).toBe('gig-replica');
    expect(replica('gig', { mode: 'external', external: { existingSecret: 'mine' } })).toBeUndefined();
  });

  test('is none where there is one server, nor of the self-view, which shows nothing that lags', () => {
    expect(replica('gig', {})).toBeUndefined();
    expect(replica('gig', { mode: 'cnpg', cnpg: { pages: { instances: 1 } } })).toBeUndefined();
    expect(replica('self-view', { mode: 'cnpg', servers: 'shared' })).toBeUndefined();
  });
});
