# shellcheck shell=bash
mvn --quiet --batch-mode -Dkafka="$KAFKA" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=libs >&2
