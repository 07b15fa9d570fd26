"""What an agent's request demands of an answer, as the grammar that makes the model comply.

In: a request. Out: a structural tag, or None where nothing is demanded. What no grammar can express is refused by the
name of the field that asks for it.
"""

from __future__ import annotations

from katcore.gateway.dialects import ANY, BadRequest, Request
from katcore.model.folder import ChatModel
from katcore.model.grammars import NoGrammar, grammar
from katcore.model.schemas import unenforced


def grammar_of(chat: ChatModel, request: Request) -> str | None:
    """The grammar of a request that forces a call, or wants its text by a schema: then it may call its tools instead.

    Raises BadRequest.
    """
    schema, tools = request.schema, request.tools or []
    several = request.parallel is not False
    try:
        if request.forced:
            if request.forced != ANY:
                tools, several = [tool for tool in tools if tool["function"].get("name") == request.forced], False
            if not tools:
                raise NoGrammar(f"there is no tool {request.forced!r}" if request.forced != ANY else "there is no tool")
            return grammar(chat.turn, None, tools, several)
        if schema is None:
            return None
        if ignored := unenforced(schema.schema):
            raise NoGrammar(f"nothing here enforces {ignored}")
        return grammar(chat.turn, schema.schema, tools if chat.turn.call is not None else [], several)
    except NoGrammar as reason:
        raise BadRequest(f"{demanding(request)}: {reason}", code="unsupported_value") from None
    except (TypeError, ValueError, AttributeError, RecursionError):  # what was read as a schema is none
        raise BadRequest(f"{demanding(request)}: not a JSON Schema, or one nested too deeply") from None


def demanding(request: Request) -> str:
    """The field that demands something, as the agent's API calls it."""
    return request.schema.field if request.schema is not None and not request.forced else "tool_choice"
