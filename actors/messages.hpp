// The messages that cross nodes, as CAF sees them: each is its Cap'n Proto encoding (schemas/cluster_messages.hpp). And the
// typed interfaces of the actors that other nodes talk to.
#pragma once

#include "actors/seam.hpp"
#include "schemas/cluster_messages.hpp"

namespace troupe::actors {

template <class Inspector, class Message>
typename Inspector::result_type inspect_encoded(Inspector& inspector, Message& message, const char* name) {
  using schemas::decode;
  using schemas::encode;
  if constexpr (Inspector::reads_state) {
    std::string bytes = encode(message);
    return inspector(caf::meta::type_name(name), bytes);
  } else {
    std::string bytes;
    auto load = [&]() -> caf::error {
      auto decoded = decode(bytes, message);
      return decoded ? caf::error{} : to_caf(decoded.error());
    };
    return inspector(caf::meta::type_name(name), bytes, caf::meta::load_callback(load));
  }
}

}  // namespace troupe::actors

#define TROUPE_INSPECTED(space, Message)                                            \
  namespace space {                                                                 \
  template <class Inspector>                                                        \
  typename Inspector::result_type inspect(Inspector& inspector, Message& message) { \
    return troupe::actors::inspect_encoded(inspector, message, #Message);           \
  }                                                                                 \
  }

TROUPE_INSPECTED(troupe::schemas, Hello)
TROUPE_INSPECTED(troupe::schemas, Welcome)
TROUPE_INSPECTED(troupe::schemas, Announce)
TROUPE_INSPECTED(troupe::schemas, LeaseKeep)
TROUPE_INSPECTED(troupe::schemas, LeaseKept)
TROUPE_INSPECTED(troupe::schemas, LeaseAcquire)
TROUPE_INSPECTED(troupe::schemas, LeaseGrant)
TROUPE_INSPECTED(troupe::schemas, LeaseLocate)
TROUPE_INSPECTED(troupe::schemas, HomeOpen)
TROUPE_INSPECTED(troupe::schemas, HomeOpened)
TROUPE_INSPECTED(troupe::schemas, HomeAsk)
TROUPE_INSPECTED(troupe::schemas, HomeAccepted)
TROUPE_INSPECTED(troupe::schemas, HomeMore)
TROUPE_INSPECTED(troupe::schemas, HomeLeave)
TROUPE_INSPECTED(troupe::schemas, HomeCancel)
TROUPE_INSPECTED(troupe::schemas, HomeHistory)
TROUPE_INSPECTED(troupe::schemas, HomeHistoryPage)
TROUPE_INSPECTED(troupe::schemas, HomeTurn)
TROUPE_INSPECTED(troupe::policy, Turn)
TROUPE_INSPECTED(troupe::schemas, ReaderEvents)
TROUPE_INSPECTED(troupe::schemas, ReaderFailed)
TROUPE_INSPECTED(troupe::schemas, EnginePrepare)
TROUPE_INSPECTED(troupe::schemas, EnginePrepared)
TROUPE_INSPECTED(troupe::schemas, EngineGenerate)
TROUPE_INSPECTED(troupe::schemas, EngineRelease)
TROUPE_INSPECTED(troupe::schemas, EngineEmissions)
TROUPE_INSPECTED(troupe::schemas, EngineFinished)
TROUPE_INSPECTED(troupe::schemas, NodeDrain)
TROUPE_INSPECTED(troupe::schemas, NodeJoin)
TROUPE_INSPECTED(troupe::schemas, ExpertLoad)
TROUPE_INSPECTED(troupe::schemas, ExpertLoaded)
TROUPE_INSPECTED(troupe::schemas, LeaseMove)
TROUPE_INSPECTED(troupe::schemas, HomeTake)
TROUPE_INSPECTED(troupe::schemas, HomeTaken)
TROUPE_INSPECTED(troupe::schemas, HomeHandOver)
TROUPE_INSPECTED(troupe::schemas, KvHoldings)
TROUPE_INSPECTED(troupe::schemas, KvLease)
TROUPE_INSPECTED(troupe::schemas, KvLeased)
TROUPE_INSPECTED(troupe::schemas, KvRelease)
TROUPE_INSPECTED(troupe::schemas, HomePin)
TROUPE_INSPECTED(troupe::schemas, HomePins)
#undef TROUPE_INSPECTED

CAF_BEGIN_TYPE_ID_BLOCK(troupe, caf::first_custom_type_id)
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::Hello))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::Welcome))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::Announce))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::LeaseKeep))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::LeaseKept))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::LeaseAcquire))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::LeaseGrant))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::LeaseLocate))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomeOpen))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomeOpened))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomeAsk))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomeAccepted))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomeMore))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomeLeave))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomeCancel))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomeHistory))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomeHistoryPage))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomeTurn))
CAF_ADD_TYPE_ID(troupe, (troupe::policy::Turn))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::ReaderEvents))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::ReaderFailed))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::EnginePrepare))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::EnginePrepared))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::EngineGenerate))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::EngineRelease))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::EngineEmissions))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::EngineFinished))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::NodeDrain))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::NodeJoin))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::ExpertLoad))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::ExpertLoaded))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::LeaseMove))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomeTake))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomeTaken))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomeHandOver))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::KvHoldings))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::KvLease))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::KvLeased))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::KvRelease))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomePin))
CAF_ADD_TYPE_ID(troupe, (troupe::schemas::HomePins))
CAF_END_TYPE_ID_BLOCK(troupe)

namespace troupe::actors {

/// A node's door: handshake, heartbeats, what operators want of it, and what other nodes need it to load.
using NodeActor = caf::typed_actor<on<schemas::Hello>::gives<schemas::Welcome>, takes<schemas::Announce>,  //
                                   on<schemas::NodeDrain>::gives<schemas::Announce>,                       //
                                   on<schemas::NodeJoin>::gives<schemas::Announce>,                        //
                                   on<schemas::ExpertLoad>::gives<schemas::ExpertLoaded>>;

/// Decides who is home to a conversation.
using LeaseActor = caf::typed_actor<on<schemas::LeaseKeep>::gives<schemas::LeaseKept>,      //
                                    on<schemas::LeaseAcquire>::gives<schemas::LeaseGrant>,  //
                                    on<schemas::LeaseMove>::gives<schemas::LeaseGrant>,     //
                                    on<schemas::LeaseLocate>::gives<schemas::LeaseGrant>>;

/// What is said to a conversation at its home.
using AtHome = caf::typed_actor<on<schemas::HomeOpen>::gives<schemas::HomeOpened>,          //
                                on<schemas::HomeAsk>::gives<schemas::HomeAccepted>,         //
                                takes<schemas::HomeMore>,                                   //
                                takes<schemas::HomeLeave>,                                  //
                                on<schemas::HomeCancel>::gives<schemas::HomeAccepted>,      //
                                on<schemas::HomeHistory>::gives<schemas::HomeHistoryPage>,  //
                                on<schemas::HomeTurn>::gives<policy::Turn>,                 //
                                on<schemas::HomePin>::gives<schemas::HomePins>,             //
                                takes<schemas::EngineEmissions>,                            //
                                takes<schemas::EngineFinished>,                             //
                                takes<schemas::HomeHandOver>>;

/// All conversations that are at home on a node, and those that are about to be.
using HomeActor = AtHome::extend<on<schemas::HomeTake>::gives<schemas::HomeTaken>>;

/// Those who read turns through a node.
using ReaderActor = caf::typed_actor<takes<schemas::ReaderEvents>, takes<schemas::ReaderFailed>>;

/// One replica of a model.
using EngineActor = caf::typed_actor<on<schemas::EnginePrepare>::gives<schemas::EnginePrepared>,  //
                                     takes<schemas::EngineGenerate>, takes<schemas::EngineRelease>>;

/// The KV blocks of a node, as other nodes see them.
using KvShardActor =
    caf::typed_actor<takes<schemas::KvHoldings>, on<schemas::KvLease>::gives<schemas::KvLeased>, takes<schemas::KvRelease>>;

}  // namespace troupe::actors
