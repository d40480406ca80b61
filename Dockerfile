# One image for every role: docker run top-clients:dev <role> [flags]; without a role it lists them.

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No package of production needs a script to be installed. What only editors, debuggers and bundlers read is left out,
# a third of the bytes: types, source maps, and the brands once more as one module each for require and import.
RUN npm ci --omit=dev --ignore-scripts --no-progress \
 && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -iname '*.md' \
      -not -iname 'licen[cs]e*' \) -delete \
 && rm -f node_modules/simple-icons/index.js node_modules/simple-icons/index.mjs \
 && rm -rf node_modules/.bin

# Loads every role once, and what a role loads later, so that the compiled code is in the image: a start then takes
# about half the time. It fits only the very program that runs it, under the same flags of V8, so that one is taken, and its user; anywhere else Node
# compiles anew.
FROM packages AS compiled
COPY --from=gcr.io/distroless/nodejs24-debian12:nonroot /nodejs/bin/node /nodejs/bin/node
COPY cdk8s cdk8s
COPY dashboards dashboards
COPY services services
RUN mkdir .compile-cache && chown 65532:65532 .compile-cache
USER 65532:65532
RUN for role in $(/nodejs/bin/node services/main.ts --help | sed -n 's/^  //p'); do \
      NODE_OPTIONS=--max-old-space-size-percentage=75 NODE_COMPILE_CACHE=/app/.compile-cache /nodejs/bin/node --heap-growing-percent=200 --no-allocation-site-pretenuring \
        services/main.ts "$role" --help > /dev/null || exit 1; \
    done \
 && for later in auth/verifier.ts seller-portal/index.ts platform/opentelemetry.ts contracts/openapi.ts operator/reconcilers/reconcile.ts operator/runtime/kubeconfig.ts; do \
      NODE_OPTIONS=--max-old-space-size-percentage=75 NODE_COMPILE_CACHE=/app/.compile-cache /nodejs/bin/node --heap-growing-percent=200 --no-allocation-site-pretenuring \
        --input-type=module --eval "await import('/app/services/$later')" || exit 1; \
    done \
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
COPY --from=packages /app/package.json ./
COPY --from=packages /app/node_modules node_modules
COPY --from=compiled --chown=0:0 /app/.compile-cache .compile-cache
COPY cdk8s cdk8s
COPY dashboards dashboards
COPY services services
ENV NODE_ENV=production NODE_COMPILE_CACHE=/app/.compile-cache
USER 65532:65532
# The flags of services/contracts/v8-flags.ts.
ENTRYPOINT ["/nodejs/bin/node", "--heap-growing-percent=200", "--no-allocation-site-pretenuring", "services/main.ts"]
CMD ["--help"]
