"""The user service: checks what it is given and lets the database service keep it."""

import json
import logging
import os
import signal
import sys
import urllib.error
import urllib.request

from flask import Flask, jsonify, request
from werkzeug.exceptions import HTTPException

DATABASE_URL = os.environ.get("DATABASE_URL", "http://database_service:5001")
NAME_LIMIT = 100

app = Flask(__name__)
# People read these answers: Chinese stays Chinese instead of \uXXXX.
app.json.ensure_ascii = False
log = logging.getLogger("user_service")


class DatabaseUnreachable(Exception):
    """The database service does not answer, or not as agreed."""


def ask_database(method, path, body=None):
    """Returns the database service's status code and its answer."""
    data = None if body is None else json.dumps(body).encode()
    question = urllib.request.Request(
        DATABASE_URL + path, data=data, method=method, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(question, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise DatabaseUnreachable(f"{method} {path} gave {error.code}") from error
        return error.code, json.load(error)
    except (OSError, ValueError) as error:
        raise DatabaseUnreachable(f"{method} {path}: {error}") from error


def checked_user(body):
    """Returns the user in `body`, or says in a ValueError what is wrong with it."""
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    name = body.get("name")
    if not isinstance(name, str) or not name.strip():
        raise ValueError("`name` must be a text that is not empty")
    name = name.strip()
    if len(name) > NAME_LIMIT:
        raise ValueError(f"`name` must not be longer than {NAME_LIMIT} characters")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError("`name` must be valid Unicode") from None
    return {"name": name}


@app.post("/user")
def create_user():
    try:
        user = checked_user(request.get_json(silent=True))
    except ValueError as error:
        return jsonify(error=str(error)), 400
    status, answer = ask_database("POST", "/users", user)
    if status != 201:
        return jsonify(answer), status
    log.info("user %s created", answer["user"]["id"])
    return jsonify(message="用户创建成功", database=answer["message"], user=answer["user"]), 201


@app.get("/user")
def list_users():
    status, answer = ask_database("GET", "/users")
    return jsonify(answer), status


@app.get("/user/<int:user_id>")
def show_user(user_id):
    status, answer = ask_database("GET", f"/users/{user_id}")
    return jsonify(answer), status


@app.get("/health")
def health():
    return jsonify(status="ok")


@app.errorhandler(DatabaseUnreachable)
def database_unreachable(error):
    log.error("the database service does not answer: %s", error)
    return jsonify(error="the database service does not answer"), 502


@app.errorhandler(HTTPException)
def http_error(error):
    return jsonify(error=error.description), error.code


if __name__ == "__main__":
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "info").upper())
    # The first process of a container gets no default action for SIGTERM: without this, stopping takes 10 s.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app.run(host="0.0.0.0", port=5000)
