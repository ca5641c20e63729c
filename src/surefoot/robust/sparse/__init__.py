"""Penalised logistic and softmax regression, many fits at once, each with a certificate."""
