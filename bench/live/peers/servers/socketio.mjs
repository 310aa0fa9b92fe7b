// PORT REDIS_URL: Socket.IO with the Redis adapter, as its documentation has it.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const publisher = createClient({ url: process.argv[3] });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer();
const io = new Server(http, { transports: ["websocket"], adapter: createAdapter(publisher, subscriber) });

io.on("connection", (socket) => {
  let room;
  socket.on("join", async (number, answer) => {
    room = `room:${number}`;
    await socket.join(room);
    answer();
  });
  socket.on("say", (message, answer) => {
    io.to(room).emit("said", message);
    answer("ok");
  });
});

http.listen(Number(process.argv[2]), "127.0.0.1");
