"""Choosing among candidates by criteria that never see a judge row; what the judge says of the choices, afterwards."""
