"""Keys, tokens and passwords as they stand in texts: one pattern a kind, published by those who issue them.

Where a pattern has a group, the group is the secret and what is around it stays. Not looked for: random text without a
mark or a name beside it, which hashes, ids and lock files are full of.
"""

from __future__ import annotations

import re

_NAMED = r"(?:API_?KEY|ACCESS_?KEY|SECRET(?:_?KEY)?|PRIVATE_?KEY|AUTH_?TOKEN|TOKEN|PASSWORD|PASSWD|CREDENTIALS?)"
SECRETS = tuple(
    re.compile(pattern)
    for pattern in (
        # a private key of any kind, whole, or as much of it as is shown; also inside JSON, with \n as two characters
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=\s:,.-]|\\[rn])*?"
        r"(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\Z)",
        r"\bsk-ant-[A-Za-z0-9_-]{16,}",  # Anthropic
        r"\bsk-(?:proj-|svcacct-|admin-|or-v1-)[A-Za-z0-9_-]{16,}",  # OpenAI, OpenRouter
        r"\bsk-[A-Za-z0-9]{32,}\b",  # OpenAI's older ones, DeepSeek and others
        r"\bAIza[A-Za-z0-9_-]{35}",  # Google
        r"\bya29\.[A-Za-z0-9_-]{20,}",  # Google, OAuth
        r"\bGOCSPX-[A-Za-z0-9_-]{20,}",  # Google, OAuth clients
        r"\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{36,}\b",  # GitHub
        r"\bgithub_pat_[A-Za-z0-9_]{22,}\b",
        r"\bgl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[A-Za-z0-9_.-]{20,}",  # GitLab
        r"\bATATT3[A-Za-z0-9_=-]{20,}",  # Atlassian
        r"\b(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[A-Z0-9]{16}\b",  # AWS
        r"\bhf_[A-Za-z0-9]{30,}\b",  # Hugging Face
        r"\b(?:gsk|xai|pplx|r8|nvapi|fw|tgp_v1|csk)[_-][A-Za-z0-9_-]{30,}",  # Groq, xAI and others
        r"\bpypi-[A-Za-z0-9_-]{50,}",
        r"\bnpm_[A-Za-z0-9]{36}\b",
        r"//[^\s/]+/:_authToken=([A-Za-z0-9_-]{8,})",  # npm's settings
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",  # Slack
        r"https://hooks\.slack\.com/services/([A-Za-z0-9/_-]{20,})",
        r"\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}\b",  # Stripe
        r"\bwhsec_[A-Za-z0-9+/=]{24,}",
        r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",  # SendGrid
        r"\bdop_v1_[a-f0-9]{64}\b",  # DigitalOcean
        r"\bdapi[a-f0-9]{32}\b",  # Databricks
        r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}\b",  # Telegram
        r"\b[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}",  # Discord
        r"\bAccountKey=([A-Za-z0-9+/=]{40,})",  # Azure
        r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",  # JSON web tokens
        r"\bage-secret-key-1[a-z0-9]{50,}|\bAGE-SECRET-KEY-1[A-Z0-9]{50,}",
        # what stands behind a name that says so
        r"(?i)\bauthorization:\s*(?:bearer|basic|token)\s+([A-Za-z0-9+/=_.~-]{8,})",
        r"(?i)\b(?:x-)?(?:api-key|goog-api-key|auth-token):\s*([A-Za-z0-9+/=_.~-]{12,})",
        rf"\b[A-Z0-9_]*{_NAMED}\s*=\s*['\"]?([^\s'\"$<>{{}}();,&|\\`]{{8,}})",  # of an environment
        rf"(?i)[\"'][a-z0-9_-]*{_NAMED}[\"']\s*:\s*[\"']([A-Za-z0-9+/=_.~-]{{16,}})[\"']",  # of a JSON file
        r"(?<=://)[^\s/:@'\"<>]*:([^\s/:@'\"<>]{3,})@(?=[\w.-])",  # of an address
    )
)
