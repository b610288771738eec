"""Who may call: the token and its cookie, hosts and origins; and what every answer carries."""

from typing import Any

import pytest
from server_pictures import png_bytes

PICTURE = {"image": png_bytes()}


def test_without_the_token_nothing_but_health_and_the_editor_answers(new_service: Any) -> None:
    with new_service(token="s3cret") as service:
        assert service.get("/health").status_code == 200
        assert service.get("/").status_code == 200
        for path in ("/v1/documents/x", "/metrics", "/openapi.json", "/v1/pixels/x.png", "/fal-ai/qwen-image-layered"):
            refused = service.get(path)
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized"), path
            assert refused.headers["www-authenticate"].startswith("Bearer")
        assert service.post("/v1/decompositions", files=PICTURE).status_code == 401
        for wrong in ("Bearer wrong", "Bearer s3cre", "Basic s3cret", "s3cret", "Bearer \xe9"):
            headers = {"authorization": wrong.encode("latin-1")}
            assert service.post("/v1/decompositions", files=PICTURE, headers=headers).status_code == 401, wrong
        right = {"authorization": "Bearer s3cret"}
        assert service.post("/v1/decompositions", files=PICTURE, headers=right).status_code == 202
        assert service.get("/openapi.json", headers=right).json()["security"] == [{"token": []}]


def test_the_token_is_exchanged_for_a_cookie_that_scripts_cannot_read(new_service: Any) -> None:
    with new_service(token="s3cret") as service:
        assert service.get("/v1/session").json() == {"token": True}
        assert service.post("/v1/session").status_code == 401
        answer = service.post("/v1/session", headers={"authorization": "Bearer s3cret"})
        cookie = answer.headers["set-cookie"].lower()
        assert answer.status_code == 204
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "s3cret" not in cookie
        assert service.post("/v1/decompositions", files=PICTURE).status_code == 202  # the client keeps the cookie
        own = service.cookies["lamina_session"]
        service.delete("/v1/session")
        assert service.get("/metrics").status_code == 401
        shared = {"cookie": f'prefs={{"a":1}}; lamina_session={own}'}  # browsers send what other ports have set, too
        assert service.get("/metrics", headers=shared).status_code == 200
        service.cookies.set("lamina_session", "0" * 64)
        assert service.get("/metrics").status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://testserver"}, 202),
        ({"sec-fetch-site": "same-origin"}, 202),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[x"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"host": "evil.example"}, 421),
        ({"host": "testserver:7860", "origin": "http://testserver:7860"}, 202),
        ({"host": "127.0.0.1.evil.example"}, 421),
    ],
)
def test_pages_of_other_sites_cannot_use_a_visitors_browser(service: Any, headers: dict[str, str], status: int) -> None:
    assert service.post("/v1/decompositions", files=PICTURE, headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/", "/health", "/v1/documents/x", "/nowhere", "/metrics"])
def test_every_answer_forbids_foreign_scripts_and_guessed_types(service: Any, path: str) -> None:
    headers = service.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


def test_a_defect_is_answered_as_one_without_its_traceback(service: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(service.app.state.store, "check", lambda: {}["secret detail"])
    answer = service.get("/health")
    assert (answer.status_code, answer.json()["code"]) == (500, "defect")
    assert "secret" not in answer.text
    assert "content-security-policy" in answer.headers
