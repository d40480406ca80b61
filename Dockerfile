# One image for every role: docker run top-clients:dev <role> [flags]; without a role it lists them.

FROM node:24-bookworm-slim AS program
WORKDIR /sources
COPY package.json package-lock.json .npmrc ./
# The packages of production, and of those of development the bundler alone: `npm ci` has none of them, or all. Versions and
# checksums are those of the lock file. No package needs a script to be installed.
RUN npm install --omit=dev --no-save --save-prod --ignore-scripts --no-progress \
      "esbuild@$(node --print 'require("./package.json").devDependencies.esbuild')"
COPY cdk8s cdk8s
COPY dashboards dashboards
COPY generate generate
COPY services services
RUN node generate/bundle.ts /app

# Loads every role once, and what a role loads later, so that the compiled code is in the image: a start then takes a
# tenth less. It fits only the very program that runs it, under the same flags of V8, so that one is taken, and its
# user; anywhere else Node compiles anew.
FROM program AS compiled
COPY --from=gcr.io/distroless/nodejs24-debian12:nonroot /nodejs/bin/node /nodejs/bin/node
WORKDIR /app
RUN mkdir .compile-cache && chown 65532:65532 .compile-cache
USER 65532:65532
RUN node() { \
      NODE_OPTIONS=--max-old-space-size-percentage=75 NODE_COMPILE_CACHE=/app/.compile-cache \
        /nodejs/bin/node --heap-growing-percent=200 --no-allocation-site-pretenuring --no-wasm-tier-up --no-wasm-dynamic-tiering "$@"; \
    } \
 && for role in $(node roles/main.js --help | sed -n 's/^  //p'); do \
      node roles/main.js "$role" --help > /dev/null || exit 1; \
    done \
 && node --input-type=module --eval 'for (const file of process.argv.slice(1)) await import(`/app/${file}`)' roles/*-*.js \
 && chmod -R a+rX .compile-cache

FROM gcr.io/distroless/nodejs24-debian12:nonroot
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="top-clients" \
      org.opencontainers.image.description="The brands a seller has worked with, on every page of a marketplace" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /app
# Owned by root: nothing in the image changes while it runs.
COPY --from=program /app/node_modules node_modules
COPY --from=program /app/package.json ./
COPY --from=program /app/services services
COPY --from=program /app/roles roles
COPY --from=compiled --chown=0:0 /app/.compile-cache .compile-cache
ENV NODE_ENV=production NODE_COMPILE_CACHE=/app/.compile-cache
USER 65532:65532
# The flags of services/contracts/v8-flags.ts.
ENTRYPOINT ["/nodejs/bin/node", "--heap-growing-percent=200", "--no-allocation-site-pretenuring", \
            "--no-wasm-tier-up", "--no-wasm-dynamic-tiering", "roles/main.js"]
CMD ["--help"]
