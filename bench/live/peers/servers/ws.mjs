// PORT: plain `ws`, the usual few lines of it. The path is the room; a message is parsed, given to all, and answered.
import { WebSocketServer } from "ws";

const rooms = new Map();
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), perMessageDeflate: false });

server.on("connection", (socket, request) => {
  const name = request.url;
  if (!rooms.has(name)) rooms.set(name, new Set());
  const room = rooms.get(name);
  room.add(socket);
  socket.on("message", (data) => {
    const { id, client_id, text } = JSON.parse(data);
    const message = JSON.stringify({ room: name, client_id, text });
    for (const member of room) member.send(message);
    socket.send(JSON.stringify({ ack: id }));
  });
  socket.on("close", () => room.delete(socket));
});
