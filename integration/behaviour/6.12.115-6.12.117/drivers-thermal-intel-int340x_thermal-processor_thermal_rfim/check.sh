# That the files of a feature could not be made was taken for success.
# shellcheck shell=dash disable=SC2034
