"""The database service: keeps users in SQLite."""

import logging
import os
import signal
import sqlite3
import sys
from contextlib import closing

from flask import Flask, jsonify, request
from werkzeug.exceptions import HTTPException

DATABASE_PATH = os.environ.get("DATABASE_PATH", "/data/users.db")
# SQLite's largest key.
LARGEST_ID = 2**63 - 1

app = Flask(__name__)
# People read these answers: Chinese stays Chinese instead of \uXXXX.
app.json.ensure_ascii = False
log = logging.getLogger("database_service")


def connect():
    """Returns a connection of this request's own."""
    connection = sqlite3.connect(DATABASE_PATH, timeout=5)
    connection.row_factory = sqlite3.Row
    return connection


def create_table():
    with closing(connect()) as connection, connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL)"
        )


@app.post("/users")
def save_user():
    body = request.get_json(silent=True)
    if not isinstance(body, dict) or not isinstance(body.get("name"), str) or not body["name"]:
        return jsonify(error="`name` must be a text that is not empty"), 400
    with closing(connect()) as connection, connection:
        user_id = connection.execute("INSERT INTO users (name) VALUES (?)", (body["name"],)).lastrowid
    log.info("user %s saved", user_id)
    return jsonify(message="用户数据保存成功", user={"id": user_id, "name": body["name"]}), 201


@app.get("/users")
def list_users():
    with closing(connect()) as connection:
        rows = connection.execute("SELECT id, name FROM users ORDER BY id").fetchall()
    return jsonify(users=[dict(row) for row in rows])


@app.get("/users/<int:user_id>")
def show_user(user_id):
    row = None
    if user_id <= LARGEST_ID:
        with closing(connect()) as connection:
            row = connection.execute("SELECT id, name FROM users WHERE id = ?", (user_id,)).fetchone()
    if row is None:
        return jsonify(error=f"there is no user {user_id}"), 404
    return jsonify(dict(row))


@app.get("/health")
def health():
    with closing(connect()) as connection:
        connection.execute("SELECT 1 FROM users LIMIT 1")
    return jsonify(status="ok")


@app.errorhandler(sqlite3.Error)
def database_error(error):
    log.error("the database failed: %s", error)
    return jsonify(error="the database failed"), 500


@app.errorhandler(HTTPException)
def http_error(error):
    return jsonify(error=error.description), error.code


if __name__ == "__main__":
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "info").upper())
    # The first process of a container gets no default action for SIGTERM: without this, stopping takes 10 s.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    create_table()
    app.run(host="0.0.0.0", port=5001)
