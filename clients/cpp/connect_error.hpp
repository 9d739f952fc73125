// What went wrong with a connection, in the words of whoever gave the address.
#pragma once

#include <kj/exception.h>

#include <string>

namespace troupe::clients {

/// KJ's description, without its source code where that is all it has to say: a name that is not known, or a door that speaks
/// another protocol.
std::string what_failed(const kj::Exception& exception);

}  // namespace troupe::clients
