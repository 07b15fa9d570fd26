"""Model folders without their weights: tokenizer, chat template, and the way between messages and token ids.

    from katcore.model.folder import load
    chat = load(None)                                   # the small tokenizer and template shipped with KAT
    ids = chat.encode_prompt(messages, tools)           # what the engine is given
    completion = chat.parse_completion(output_ids)      # OpenAI message, tool calls with their token spans
    ids += output_ids + chat.render_delta(messages + [completion.message], new_messages, tools)

`tokenizer.py` holds ids and text, `template.py` the jinja rendering, `completion.py` the Hermes-style parser,
`folder.py` joins them. Needs `tokenizers` and `jinja2`; neither torch nor transformers.
"""
