//! Programs and settings that stand in for those of the well-known images.

/// Redis: as its own user, reachable from other containers (the network is the boundary, as in the official image).
pub const REDIS: &str = r#"#!/bin/sh
set -e
# Options or a configuration file alone mean the server.
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
	set -- redis-server "$@"
fi
if [ "$1" = redis-server ]; then
	case " $* " in
		*" --protected-mode "*) ;;
		*) set -- "$@" --protected-mode no ;;
	esac
	if [ "$(id -u)" = 0 ]; then
		find . \! -user redis -exec chown redis '{}' +
		exec setpriv --reuid redis --regid redis --clear-groups -- "$0" "$@"
	fi
fi
exec "$@"
"#;

/// nginx: files of `/etc/nginx/conf.d`, pages of `/usr/share/nginx/html`, logs to the container's log.
pub const NGINX_CONF: &str = "user nginx;
worker_processes auto;
error_log /var/log/nginx/error.log notice;
pid /run/nginx.pid;
include /etc/nginx/modules-enabled/*.conf;

events {
    worker_connections 1024;
}

http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    log_format main '$remote_addr - $remote_user [$time_local] \"$request\" '
                    '$status $body_bytes_sent \"$http_referer\" '
                    '\"$http_user_agent\" \"$http_x_forwarded_for\"';
    access_log /var/log/nginx/access.log main;
    sendfile on;
    keepalive_timeout 65;
    include /etc/nginx/conf.d/*.conf;
}
";

/// nginx: the site that there is without any other.
pub const NGINX_SITE: &str = "server {
    listen 80;
    listen [::]:80;
    server_name localhost;

    location / {
        root /usr/share/nginx/html;
        index index.html index.htm;
    }

    error_page 500 502 503 504 /50x.html;
    location = /50x.html {
        root /usr/share/nginx/html;
    }
}
";

/// PostgreSQL: makes the cluster at the first start from the variables that the official image knows, then runs the scripts of
/// `/docker-entrypoint-initdb.d`.
pub const POSTGRES: &str = r#"#!/bin/bash
set -Eeo pipefail

# NAME, or the content of the file that NAME_FILE names.
from_file() {
	local name="$1" file="${1}_FILE"
	if [ -n "${!name:-}" ] && [ -n "${!file:-}" ]; then
		echo >&2 "error: both $name and $file are set"
		exit 1
	fi
	if [ -n "${!file:-}" ]; then
		export "$name"="$(< "${!file}")"
	fi
	unset "$file"
}

initialise() {
	if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
		echo >&2 'error: the database is empty and POSTGRES_PASSWORD is not set'
		echo >&2 '  set it, or POSTGRES_HOST_AUTH_METHOD=trust to let everybody in'
		exit 1
	fi
	local initdb_args=()
	eval "initdb_args=( ${POSTGRES_INITDB_ARGS:-} )"
	if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
		initdb_args+=(--waldir "$POSTGRES_INITDB_WALDIR")
	fi
	initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:-}") "${initdb_args[@]}"
	echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption)}" >> "$PGDATA/pg_hba.conf"
	PGUSER="$POSTGRES_USER" pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w start
	export PGPASSWORD="${POSTGRES_PASSWORD:-}"
	local psql=(psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --username "$POSTGRES_USER")
	if [ "$POSTGRES_DB" != postgres ]; then
		"${psql[@]}" --dbname postgres --set db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db";'
	fi
	psql+=(--dbname "$POSTGRES_DB")
	local script
	for script in /docker-entrypoint-initdb.d/*; do
		case "$script" in
			*.sh) echo "running $script"; if [ -x "$script" ]; then "$script"; else . "$script"; fi ;;
			*.sql) echo "running $script"; "${psql[@]}" -f "$script" ;;
			*.sql.gz) echo "running $script"; gunzip -c "$script" | "${psql[@]}" ;;
			*.sql.xz) echo "running $script"; xzcat "$script" | "${psql[@]}" ;;
			*.sql.zst) echo "running $script"; zstd -dc "$script" | "${psql[@]}" ;;
			*) ;;
		esac
	done
	PGUSER="$POSTGRES_USER" pg_ctl -D "$PGDATA" -m fast -w stop
	unset PGPASSWORD
	echo 'PostgreSQL init process complete; ready for start up.'
}

if [ "${1:0:1}" = - ]; then
	set -- postgres "$@"
fi
if [ "$1" = postgres ]; then
	if [ "$(id -u)" = 0 ]; then
		mkdir -p "$PGDATA" /var/run/postgresql
		chmod 00700 "$PGDATA"
		chmod 03775 /var/run/postgresql
		find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
		exec setpriv --reuid postgres --regid postgres --init-groups -- "$BASH_SOURCE" "$@"
	fi
	if [ ! -s "$PGDATA/PG_VERSION" ]; then
		from_file POSTGRES_PASSWORD
		from_file POSTGRES_USER
		from_file POSTGRES_DB
		from_file POSTGRES_INITDB_ARGS
		: "${POSTGRES_USER:=postgres}" "${POSTGRES_HOST_AUTH_METHOD:=}"
		: "${POSTGRES_DB:=$POSTGRES_USER}"
		initialise
	fi
fi
exec "$@"
"#;
