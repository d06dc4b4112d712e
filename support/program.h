// What small programs with options and files have in common: their command line, and how they end.
#pragma once

#include <boost/program_options.hpp>
#include <functional>
#include <string>
#include <vector>

namespace kpatch {

// The values of a command line; what is no option goes to `files`. Options aren't guessed by their first letters. The
// description stays as it is: it is what --help shows. Throws Error, which leads to the program's --help.
boost::program_options::variables_map parse_program_options(int argc, char** argv,
                                                            const boost::program_options::options_description& visible,
                                                            std::vector<std::string>& files,
                                                            const std::string& program);

// Runs a program's body and gives its exit code: of the body, once all that it printed is written; 128 and the signal's
// number when one came; exit_error with "PREFIXerror: …" on stderr for an exception.
int run_program(const std::function<int()>& body, const std::string& prefix = {});

}  // namespace kpatch
